"""How a daemon is ended that does not want to: with a clock that is turned by hand."""

import signal

import pytest

from execserver.client.core import ClientCore
from execserver.client.daemon import Daemon
from execserver.client.ending import Ending
from execserver.client.source import nobody
from execserver.client.stderr import Stderr


class Ended:
    """An end with 10 s to spare, begun at 100 s; the connection is closed, as it is then."""

    def __init__(self) -> None:
        self.now = 100.0
        self.signals: list[signal.Signals] = []
        core = ClientCore()
        core.close()
        self.parking = core.parking
        self.daemon = Daemon(core, "sh", Stderr(forward=False), nobody)
        self.ending = Ending(self.daemon, 10.0, lambda: self.now, self.signals.append)

    def pass_time(self) -> None:
        """Let all the time pass for which the adapter is told to wait."""
        assert not self.ending.advance()
        self.now += self.ending.patience
        self.ending.expire()


@pytest.fixture
def ended() -> Ended:
    return Ended()


def test_a_daemon_that_ends_at_the_end_of_its_stdin_is_sent_nothing(ended: Ended) -> None:
    woken: list[str] = []
    assert not ended.ending.advance()
    with ended.parking.park(ended.ending, lambda: woken.append("")):
        ended.daemon.exited(0)
    assert woken
    assert ended.ending.advance()
    ended.ending.take()
    assert ended.signals == []


def test_a_daemon_that_ended_before_is_not_waited_for(ended: Ended) -> None:
    ended.daemon.exited(0)
    assert ended.ending.advance()


def test_the_end_of_its_output_is_not_its_end(ended: Ended) -> None:
    ended.daemon.output_ended()
    ended.daemon.errors_ended()
    ended.daemon.part()
    assert not ended.ending.advance()


@pytest.mark.parametrize(
    ("steps", "sent"), [(0, []), (1, [signal.SIGTERM]), (2, [signal.SIGTERM, signal.SIGKILL])], ids=str
)
def test_the_exit_ends_the_wait_at_every_step(ended: Ended, steps: int, sent: list[signal.Signals]) -> None:
    for _ in range(steps):
        ended.pass_time()
    ended.daemon.exited(-9)
    assert ended.ending.advance()
    assert ended.signals == sent


def test_each_step_has_its_time(ended: Ended) -> None:
    began, times = ended.now, []
    while not ended.ending.advance():
        ended.pass_time()
        times.append(ended.now - began)
    assert times == [8, 10, 11]  # SIGTERM, SIGKILL, and no more
    assert ended.signals == [signal.SIGTERM, signal.SIGKILL]


def test_being_woken_prolongs_nothing(ended: Ended) -> None:
    ended.now += 3
    assert ended.ending.patience == 5
    ended.now += 100
    assert ended.ending.patience == 0


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_whoever_is_interrupted_kills_it_and_waits_once_more(ended: Ended, steps: int) -> None:
    for _ in range(steps):
        ended.pass_time()
    ended.ending.kill()
    assert ended.signals[-1] == signal.SIGKILL
    assert ended.ending.patience == 1
    ended.pass_time()
    assert ended.ending.advance()
    assert ended.signals.count(signal.SIGTERM) == (steps > 0)
