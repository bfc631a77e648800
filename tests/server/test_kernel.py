"""What is asked of the kernel for the daemon itself; most of it is seen from outside, by `daemon/test_launched.py`."""

import errno
import os
import platform
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import trio

from execserver.server.kernel import DescriptorLimit, child_signals
from tests.support.real_child import SECONDS

GIVEN = 512


@pytest.fixture
def limit() -> Iterator[DescriptorLimit]:
    """A limit that was given and raised."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (GIVEN, before[1]))
    limit = DescriptorLimit()
    limit.raise_ours()
    yield limit
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def sleeper() -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


def soft_limit(pid: int) -> int:
    return resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]


@pytest.mark.parametrize("occupied", [0, GIVEN])
def test_a_child_has_the_limit_that_was_given(limit: DescriptorLimit, occupied: int) -> None:
    children: list[subprocess.Popen[bytes]] = []
    soft_limits = []

    def start() -> int:
        soft_limits.append(soft_limit(os.getpid()))
        children.append(sleeper())
        return children[0].pid

    ours = soft_limit(os.getpid())
    taken = [os.dup(2) for _ in range(occupied)]
    try:
        pid = limit.spawn(start)
    finally:
        for fd in taken:
            os.close(fd)
    assert (pid, soft_limit(pid)) == (children[0].pid, GIVEN)
    assert soft_limits == [ours if occupied else GIVEN]  # lowered only where that takes nothing from our threads
    children[0].communicate(b"\n")


def test_holes_below_what_is_open_are_no_room(limit: DescriptorLimit) -> None:
    soft_limits = []

    def start() -> int:
        soft_limits.append(soft_limit(os.getpid()))
        return 2**22 + 1  # above every pid

    ours = soft_limit(os.getpid())
    taken = [os.dup(2) for _ in range(GIVEN)]
    for fd in taken[:100]:
        os.close(fd)
    try:
        limit.spawn(start)
    finally:
        for fd in taken[100:]:
            os.close(fd)
    assert soft_limits == [ours]


def test_a_child_that_has_ended_needs_no_limit(limit: DescriptorLimit) -> None:
    taken = [os.dup(2) for _ in range(GIVEN)]
    try:
        assert limit.spawn(lambda: 2**22 + 1) == 2**22 + 1  # above every pid
    finally:
        for fd in taken:
            os.close(fd)


def test_another_failure_is_one(limit: DescriptorLimit) -> None:
    def start() -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with pytest.raises(BlockingIOError):
        limit.spawn(start)


def blocked() -> set[int]:
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_the_end_of_a_child_is_read_from_a_descriptor_and_all_is_given_back() -> None:
    before = blocked(), signal.getsignal(signal.SIGCHLD)
    with child_signals() as signals:
        assert signal.SIGCHLD in blocked()
        with pytest.raises(BlockingIOError):
            os.read(signals, 128)
        signal.pthread_kill(threading.get_ident(), signal.SIGCHLD)
        assert int.from_bytes(os.read(signals, 128)[:4], sys.byteorder) == signal.SIGCHLD  # ssi_signo
    assert (blocked(), signal.getsignal(signal.SIGCHLD)) == before
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.read(signals, 1)


def test_a_child_that_ends_while_all_is_prepared_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    block = signal.pthread_sigmask

    def end_a_child_and_block(how: int, mask: set[int]) -> set[int]:
        signal.pthread_kill(threading.get_ident(), signal.SIGCHLD)
        return block(how, mask)

    monkeypatch.setattr(signal, "pthread_sigmask", end_a_child_and_block)
    with child_signals():
        assert signal.SIGCHLD in block(signal.SIG_BLOCK, ())


async def test_what_another_thread_takes_is_handed_on() -> None:
    """Whatever instruments an interpreter may have begun one before us, and so without what we block."""
    over = threading.Event()

    def take() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        signal.pthread_kill(threading.get_ident(), signal.SIGCHLD)
        over.wait()

    thread = threading.Thread(target=take, daemon=True)
    with child_signals() as signals:
        thread.start()
        with trio.fail_after(SECONDS):
            await trio.lowlevel.wait_readable(signals)
        assert int.from_bytes(os.read(signals, 128)[:4], sys.byteorder) == signal.SIGCHLD  # ssi_signo
    over.set()
    thread.join()


def test_where_there_is_no_descriptor_all_is_given_back() -> None:
    before, limit = (blocked(), signal.getsignal(signal.SIGCHLD)), resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limit[1]))
    try:
        with pytest.raises(OSError, match="signalfd"), child_signals():
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert (blocked(), signal.getsignal(signal.SIGCHLD)) == before


READS = """
import os, resource, sys
from execserver.server.kernel import prepare_process

if sys.argv[1:]:
    prepare_process()
kept = [b""] * 16  # as the log keeps the last of them


def read_all() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for count in range(400):
        os.write(writer, content)
        kept[count % 16] = os.read(reader, 256 * 1024)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


reader, writer = os.pipe()
content = bytes(50_000)
read_all()
print(read_all())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc has other rules")
def test_what_was_freed_is_read_into_without_a_page_fault() -> None:
    def faults(*arguments: str) -> int:
        return int(subprocess.run([sys.executable, "-c", READS, *arguments], stdout=-1, check=True).stdout)

    assert faults() > 4000, "the test has lost its subject: this malloc does not give memory back"
    assert faults("prepared") < 400
