"""SIGTERM, grace, SIGKILL, and the bound of the drain, in virtual time and of a child without a kernel."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from execserver.server.ending import DRAIN_SECONDS, GRACE_SECONDS, LOOK_SECONDS, Ending
from tests.support.fake_child import FakeChild

TERM, KILL, CONT = signal.SIGTERM, signal.SIGKILL, signal.SIGCONT
STUBBORN = (TERM, signal.SIGHUP, signal.SIGINT)


class Ended:
    """An ending, and when the streams were cut; every time is from the beginning of the test."""

    def __init__(self, child: FakeChild, nursery: trio.Nursery) -> None:
        self.child = child
        self.cut_at: list[float] = []
        self.began = trio.current_time()
        self.ending = Ending(child, nursery, lambda: self.cut_at.append(self.now()))

    def now(self) -> float:
        return trio.current_time() - self.began

    def signals(self) -> list[tuple[float, int]]:
        return [(when - self.began, number) for when, number in self.child.signals]

    def child_ends(self) -> None:
        if self.child.ended is None:
            self.child.exits()
        self.child.reap()
        self.ending.note_child_ended()


@asynccontextmanager
async def ending(child: FakeChild) -> AsyncIterator[Ended]:
    async with trio.open_nursery() as nursery:
        yield Ended(child, nursery)
        nursery.cancel_scope.cancel()


async def test_a_group_that_obeys_is_never_killed(autojump_clock: MockClock) -> None:
    async with ending(FakeChild()) as it:
        it.ending.stop("terminated", 2)
        it.child_ends()
        await trio.sleep(10)
        assert it.signals() == [(0, TERM), (0, CONT)]
        assert it.ending.stop_reason == "terminated"


async def test_a_group_that_ignores_sigterm_is_killed_after_the_grace(autojump_clock: MockClock) -> None:
    async with ending(FakeChild(ignores=STUBBORN)) as it:
        it.ending.stop("terminated", 3)
        await trio.sleep(10)
        assert it.signals() == [(0, TERM), (0, CONT), (3, KILL)]


async def test_without_grace_it_is_killed_at_once(autojump_clock: MockClock) -> None:
    async with ending(FakeChild(ignores=STUBBORN)) as it:
        it.ending.stop("terminated", 0)
        await trio.sleep(10)
        assert it.signals() == [(0, KILL)]


async def test_stopping_again_brings_the_kill_forward_and_never_back(autojump_clock: MockClock) -> None:
    async with ending(FakeChild(ignores=STUBBORN)) as it:
        it.ending.stop("timeout", 10)
        await trio.sleep(1)
        it.ending.stop("terminated", 2)
        await trio.sleep(1)
        it.ending.stop("shutdown", 100)
        await trio.sleep(20)
        assert it.signals() == [(0, TERM), (0, CONT), (3, KILL)]
        assert it.ending.stop_reason == "timeout"


async def test_stopping_again_without_grace_kills_at_once_and_once(autojump_clock: MockClock) -> None:
    async with ending(FakeChild(ignores=STUBBORN)) as it:
        it.ending.stop("terminated", 10)
        await trio.sleep(1)
        it.ending.stop("terminated", 0)
        it.child_ends()
        await trio.sleep(20)
        assert it.signals() == [(0, TERM), (0, CONT), (1, KILL)]


async def test_whoever_is_left_of_the_group_is_killed_though_the_leader_obeyed(autojump_clock: MockClock) -> None:
    async with ending(FakeChild(descendant_ignores=STUBBORN)) as it:
        it.ending.stop("terminated", 2)
        it.child_ends()
        assert it.ending.has_group()
        await trio.sleep(10)
        assert it.signals() == [(0, TERM), (0, CONT), (2, KILL)]
        assert not it.ending.has_group()


async def test_a_group_whose_leader_has_gone_is_stopped_without_becoming_the_reason(autojump_clock: MockClock) -> None:
    async with ending(FakeChild(descendant_ignores=STUBBORN)) as it:
        it.child_ends()
        it.ending.stop("terminated", 2)
        await trio.sleep(10)
        assert it.signals() == [(0, TERM), (0, CONT), (2, KILL)]
        assert it.ending.stop_reason is None
        assert it.cut_at == [2 + DRAIN_SECONDS]


async def test_the_grace_is_over_as_soon_as_nobody_is_left_of_a_group_without_its_leader(
    autojump_clock: MockClock,
) -> None:
    async with trio.open_nursery() as nursery:  # left when no timer runs any more
        it = Ended(FakeChild(descendant_ignores=()), nursery)
        it.child_ends()
        it.ending.note_streams_ended()
        it.ending.stop("shutdown", 2)
    assert (it.signals(), it.now()) == ([(0, TERM)], 0.0)

    async with trio.open_nursery() as nursery:
        it = Ended(FakeChild(descendant_ignores=STUBBORN), nursery)
        it.child_ends()
        it.ending.note_streams_ended()
        it.ending.stop("shutdown", 2)
        await trio.sleep(1)
        it.child.descendant_ends()
    assert it.signals() == [(0, TERM), (0, CONT)]
    assert it.now() < 1 + 2 * LOOK_SECONDS


class ForkingChild(FakeChild):
    """Whoever is left of its group forks while it is looked for: the first SIGKILL does not reach them all."""

    def signal_group(self, number: int) -> bool:
        if number == KILL and not any(sent == KILL for _, sent in self.signals):
            self.signals.append((trio.current_time(), number))
            return True
        return super().signal_group(number)


async def test_who_was_forked_while_a_leaderless_group_was_killed_is_killed_too(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        it = Ended(ForkingChild(descendant_ignores=STUBBORN), nursery)
        it.child_ends()
        it.ending.note_streams_ended()
        it.ending.stop("terminated", 0)
    assert it.signals() == [(0, KILL), (LOOK_SECONDS, KILL)]
    assert not it.child.has_group()


async def test_where_nobody_is_left_nothing_is_signalled(autojump_clock: MockClock) -> None:
    async with ending(FakeChild()) as it:
        it.child_ends()
        it.ending.stop("shutdown", 2)
        await trio.sleep(1)
        it.ending.stop("shutdown", 0)
        await trio.sleep(10)
        assert it.signals() == []
        assert it.ending.group_is_gone


async def test_a_timeout_stops_what_still_runs(autojump_clock: MockClock) -> None:
    async with ending(FakeChild(ignores=STUBBORN)) as it:
        it.ending.stop_after(5, "timeout")
        await trio.sleep(20)
        assert it.signals() == [(5, TERM), (5, CONT), (5 + GRACE_SECONDS, KILL)]
        assert it.ending.stop_reason == "timeout"


async def test_a_timeout_of_a_child_that_has_ended_leaves_its_group_alone(autojump_clock: MockClock) -> None:
    async with ending(FakeChild(descendant_ignores=())) as it:
        it.ending.stop_after(5, "timeout")
        await trio.sleep(1)
        it.child_ends()
        await trio.sleep(20)
        assert it.signals() == []


async def test_a_timer_ends_when_its_cause_is_gone(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        it = Ended(FakeChild(), nursery)
        it.ending.stop_after(1000, "timeout")
        it.ending.stop("terminated", 1000)
        it.ending.bound_drain(1000)
        it.ending.at_hangup(1000, lambda: None)
        await wait_all_tasks_blocked()
        it.child_ends()
        it.ending.streams_ended.set()
    assert it.now() == 0  # the nursery had nothing more to wait for


async def test_after_the_kill_nothing_is_waited_for(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        it = Ended(FakeChild(ignores=STUBBORN), nursery)
        it.ending.stop("terminated", 1000)
        await wait_all_tasks_blocked()
        it.ending.stop("terminated", 0)
    assert it.now() == 0


# The drain.


async def test_the_drain_ends_at_its_bound_which_only_comes_nearer(autojump_clock: MockClock) -> None:
    async with ending(FakeChild()) as it:
        it.ending.bound_drain(10)
        it.ending.bound_drain(20)
        await trio.sleep(1)
        it.ending.bound_drain(3)
        await trio.sleep(30)
        assert it.cut_at == [4]


async def test_streams_that_have_ended_are_not_cut(autojump_clock: MockClock) -> None:
    async with ending(FakeChild()) as it:
        it.ending.bound_drain(10)
        it.ending.streams_ended.set()
        it.ending.bound_drain(5)
        await trio.sleep(30)
        assert it.cut_at == []


async def test_the_drain_of_the_stopped_counts_from_the_kill_that_is_still_to_come(autojump_clock: MockClock) -> None:
    async with ending(FakeChild(descendant_ignores=STUBBORN)) as it:
        it.ending.stop("terminated", 5)
        it.child_ends()
        it.ending.bound_drain_of_the_stopped()
        await trio.sleep(30)
        assert it.cut_at == [5 + DRAIN_SECONDS]


async def test_the_drain_of_the_stopped_counts_from_the_end_of_the_group_that_needed_no_kill(
    autojump_clock: MockClock,
) -> None:
    """Its members die one after the other: when the leader has gone, another may still be dying."""
    async with ending(FakeChild(descendant_ignores=STUBBORN, escaped=True)) as it:
        it.ending.stop("terminated", 1000)
        it.child_ends()
        it.ending.bound_drain_of_the_stopped()
        await trio.sleep(1)
        it.child.descendant_ends()
        await trio.sleep(30)
        assert len(it.cut_at) == 1
        assert 1 + DRAIN_SECONDS <= it.cut_at[0] <= 1 + 2 * LOOK_SECONDS + DRAIN_SECONDS


async def test_the_drain_of_the_stopped_counts_from_now_where_nobody_is_left(autojump_clock: MockClock) -> None:
    async with ending(FakeChild(escaped=True)) as it:
        it.ending.stop("terminated", 5)
        it.child_ends()
        it.ending.bound_drain_of_the_stopped()
        await trio.sleep(30)
        assert it.cut_at == [DRAIN_SECONDS]


async def test_whoever_stops_may_ask_for_a_shorter_drain_and_never_for_a_longer(autojump_clock: MockClock) -> None:
    async with ending(FakeChild(escaped=True)) as it:
        it.ending.stop("terminated", 5, drain=0.5)
        it.ending.stop("shutdown", 5, drain=1)
        it.child_ends()
        it.ending.bound_drain_of_the_stopped()
        await trio.sleep(30)
        assert it.cut_at == [0.5]


async def test_the_hangup_is_acted_on_only_while_the_streams_live(autojump_clock: MockClock) -> None:
    acted: list[float] = []
    async with ending(FakeChild()) as it:
        it.ending.at_hangup(0.5, lambda: acted.append(it.now()))
        await trio.sleep(1)
        it.ending.streams_ended.set()
        it.ending.at_hangup(0.5, lambda: acted.append(it.now()))
        await trio.sleep(1)
    assert acted == [0.5]
