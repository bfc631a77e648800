"""The pipes of output: made ahead of the next child, taken by it, and none left over."""

import os
import resource
import sys
from collections.abc import Iterator

import pytest

from execserver.server.ledger import link_of
from execserver.server.pipes import OutputPipe, OutputPipes
from tests.kernel import descriptors

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pipe2 is Linux's")


@pytest.fixture
def pipes() -> Iterator[OutputPipes]:
    """Closed at the end, and then nothing is left open."""
    before = descriptors(os.getpid())
    pipes = OutputPipes()
    yield pipes
    pipes.close()
    assert descriptors(os.getpid()) == before


def count() -> int:
    return len(descriptors(os.getpid()))


def use(pipe: OutputPipe) -> None:
    """See that it is what it has to be, and close it."""
    assert pipe.link == link_of(pipe.reader) == link_of(pipe.writer)
    assert not os.get_inheritable(pipe.reader)
    assert not os.get_inheritable(pipe.writer)
    assert (os.get_blocking(pipe.reader), os.get_blocking(pipe.writer)) == (False, True)
    with pytest.raises(BlockingIOError):
        os.read(pipe.reader, 1)
    os.write(pipe.writer, b"x")
    os.close(pipe.writer)
    assert os.read(pipe.reader, 9) == b"x"
    os.close(pipe.reader)


def test_two_are_made_ahead_once_there_has_been_a_child(pipes: OutputPipes) -> None:
    none = count()
    pipes.make_ahead()
    assert count() == none
    use(pipes.take())
    assert count() == none
    for _ in range(3):
        pipes.make_ahead()
    assert count() == none + 4


def test_those_made_ahead_are_as_those_made_on_the_spot(pipes: OutputPipes) -> None:
    use(pipes.take())
    pipes.make_ahead()
    ahead = count()
    taken = [pipes.take(), pipes.take()]
    assert count() == ahead
    taken.append(pipes.take())
    assert count() == ahead + 2
    assert len({pipe.link for pipe in taken}) == 3
    for pipe in taken:
        use(pipe)


def test_without_descriptors_none_is_made_ahead_and_the_taker_is_told(pipes: OutputPipes) -> None:
    use(pipes.take())
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = count()
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limit[1]))
    try:
        pipes.make_ahead()
        with pytest.raises(OSError, match="Too many open files"):
            pipes.take()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert count() == before
    pipes.make_ahead()
    assert count() == before + 4
