"""The queue before the wire: order, partial writes, backpressure, turns, and a reader that has gone."""

from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from execserver.server.outbox import BULK_BYTES, FULL_BYTES, Outbox
from tests.support.memory_wire import MemoryWire


def never_waits(coroutine: Any) -> bool:
    """Whether a coroutine is done without a checkpoint."""
    try:
        coroutine.send(None)
    except StopIteration:
        return True
    coroutine.close()
    return False


STEPS = st.one_of(
    st.binary(min_size=1, max_size=20),  # post
    st.integers(1, 30),  # the reader takes so much
    st.sampled_from(["cork", "flush"]),
)


@given(st.lists(STEPS, max_size=30))
async def test_whatever_the_wire_takes_at_a_time_all_leaves_in_order(steps: list[bytes | int | str]) -> None:
    wire = MemoryWire(room=0)
    outbox = Outbox(wire)
    posted = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.run)
        for step in steps:
            if isinstance(step, bytes):
                posted += step
                assert outbox.post(step) == len(posted)
            elif isinstance(step, int):
                wire.read(step)
                await wait_all_tasks_blocked()
            elif step == "cork":
                outbox.cork()
            else:
                outbox.flush()
            assert posted.startswith(wire.output)
            assert (outbox.posted, outbox.written) == (len(posted), len(wire.output))
            assert outbox.backlog == len(posted) - len(wire.output)
        outbox.flush()
        wire.read(None)
        await wait_all_tasks_blocked()
        assert wire.output == posted
        nursery.cancel_scope.cancel()


async def test_a_line_leaves_at_once_without_a_task() -> None:
    wire = MemoryWire()
    outbox = Outbox(wire)
    outbox.post(b"one\n")
    outbox.post(b"two\n")
    assert wire.writes == [b"one\n", b"two\n"]


async def test_what_is_posted_between_cork_and_flush_is_one_write() -> None:
    wire = MemoryWire()
    outbox = Outbox(wire)
    outbox.cork()
    outbox.post(b"one\n")
    outbox.post(b"two\n")
    assert wire.writes == []
    outbox.flush()
    outbox.post(b"three\n")
    assert wire.writes == [b"one\ntwo\n", b"three\n"]


async def test_what_the_wire_refused_leaves_when_it_is_read_ahead_of_what_comes_later() -> None:
    wire = MemoryWire(room=6)
    outbox = Outbox(wire)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.run)
        outbox.post(b"first\nsecond\n")
        outbox.post(b"third\n")
        assert (wire.output, outbox.backlog) == (b"first\n", 13)
        await wait_all_tasks_blocked()
        wire.read(None)
        await wait_all_tasks_blocked()
        assert wire.output == b"first\nsecond\nthird\n"
        outbox.post(b"fourth\n")  # at once again
        assert wire.output.endswith(b"fourth\n")
        nursery.cancel_scope.cancel()


# Backpressure.


async def test_room_is_there_without_a_checkpoint_while_less_than_the_bound_is_queued() -> None:
    outbox = Outbox(MemoryWire(room=0))
    outbox.post(bytes(99))
    assert never_waits(outbox.room(100))
    outbox.post(bytes(1))
    assert not never_waits(outbox.room(100))


async def test_whoever_waits_for_room_goes_on_when_enough_was_read() -> None:
    wire = MemoryWire(room=0)
    outbox = Outbox(wire)
    went_on: list[str] = []

    async def wait() -> None:
        await outbox.room()
        went_on.append("room")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.run)
        nursery.start_soon(wait)
        outbox.post(bytes(FULL_BYTES + 10))
        await wait_all_tasks_blocked()
        wire.read(10)
        await wait_all_tasks_blocked()
        assert went_on == []
        wire.read(1)
        await wait_all_tasks_blocked()
        assert went_on == ["room"]
        nursery.cancel_scope.cancel()


async def test_a_bound_below_the_usual_one_is_kept_too() -> None:
    wire = MemoryWire(room=0)
    outbox = Outbox(wire)
    empty = trio.Event()

    async def wait() -> None:
        await outbox.room(1)
        empty.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.run)
        outbox.post(b"12345")
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        wire.read(4)
        await wait_all_tasks_blocked()
        assert not empty.is_set()
        wire.read(1)
        await wait_all_tasks_blocked()
        assert empty.is_set()
        nursery.cancel_scope.cancel()


async def test_whoever_waits_for_room_goes_on_though_others_than_the_writer_task_emptied_the_queue() -> None:
    """The reader flushes the answers to one read: when a client has made room just then, the task finds no work."""
    wire = MemoryWire(room=0)
    outbox = Outbox(wire)
    async with trio.open_nursery() as nursery:
        outbox.post(bytes(BULK_BYTES))
        nursery.start_soon(outbox.room, BULK_BYTES)
        await wait_all_tasks_blocked()
        wire.read(None)
        outbox.flush()
        await wait_all_tasks_blocked()
        assert not nursery.child_tasks, "the room is not seen"


@settings(max_examples=300)
@given(st.lists(st.sampled_from(["wait", "post", "read", "read and flush", "pass", "pause"]), max_size=20))
async def test_nobody_waits_for_room_that_is_there(steps: list[str]) -> None:
    """What one pass of the scheduler does, it does in any order."""
    wire = MemoryWire(room=0)
    outbox = Outbox(wire)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.run)
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as waiting:
            for step in [*steps, "read", "pause"]:
                if step == "wait":
                    waiting.start_soon(outbox.room, 50)
                elif step == "post":
                    outbox.post(bytes(50))
                elif step == "pass":
                    await trio.lowlevel.checkpoint()
                elif step == "pause":
                    await wait_all_tasks_blocked()
                    assert outbox.backlog >= 50 or not waiting.child_tasks
                else:
                    wire.read(50)
                    if step == "read and flush":  # as the reader of requests does, behind its answers
                        outbox.flush()
            waiting.cancel_scope.cancel()
        nursery.cancel_scope.cancel()


# Turns.


class Turns:
    """Tasks that take a turn each, keep it until they are told to go on, and say so."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.taken: list[str] = []
        self.go_on: dict[str, trio.Event] = {}
        self.scopes: dict[str, trio.CancelScope] = {}

    async def take(self, name: str) -> None:
        self.go_on[name] = trio.Event()
        with trio.CancelScope() as self.scopes[name]:
            await self.outbox.turn()
            try:
                self.taken.append(name)
                await self.go_on[name].wait()
            finally:
                self.outbox.pass_turn()

    async def begin(self, nursery: trio.Nursery, *names: str) -> None:
        for name in names:
            nursery.start_soon(self.take, name)
            await wait_all_tasks_blocked()


async def test_there_is_one_turn_first_come_first_served() -> None:
    turns = Turns(Outbox(MemoryWire()))
    async with trio.open_nursery() as nursery:
        await turns.begin(nursery, "a", "b", "c")
        for name, taken in (("a", ["a", "b"]), ("b", ["a", "b", "c"]), ("c", ["a", "b", "c"])):
            turns.go_on[name].set()
            await wait_all_tasks_blocked()
            assert turns.taken == taken
        await turns.begin(nursery, "d")
        assert turns.taken[-1] == "d"
        turns.go_on["d"].set()


@pytest.mark.parametrize("cancelled", ["a", "b"])
async def test_a_cancelled_one_passes_the_turn_on(cancelled: str) -> None:
    turns = Turns(Outbox(MemoryWire()))
    async with trio.open_nursery() as nursery:
        await turns.begin(nursery, "a", "b", "c")
        turns.scopes[cancelled].cancel()
        await wait_all_tasks_blocked()
        turns.go_on["a"].set()
        await wait_all_tasks_blocked()
        assert turns.taken == (["a", "b"] if cancelled == "a" else ["a", "c"])
        turns.go_on["b"].set()
        await wait_all_tasks_blocked()
        assert turns.taken[-1] == "c"
        turns.go_on["c"].set()


async def test_one_cancelled_while_its_turn_waits_for_room_passes_it_on() -> None:
    wire = MemoryWire(room=0)
    turns = Turns(Outbox(wire))
    turns.outbox.post(bytes(BULK_BYTES))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turns.outbox.run)
        await turns.begin(nursery, "a", "b")
        assert turns.taken == []  # a has the turn, and no room
        turns.scopes["a"].cancel()
        await wait_all_tasks_blocked()
        assert turns.taken == []
        wire.read(1)
        await wait_all_tasks_blocked()
        assert turns.taken == ["b"]
        nursery.cancel_scope.cancel()


async def test_one_cancelled_as_it_takes_the_turn_passes_it_on() -> None:
    turns = Turns(Outbox(MemoryWire()))
    with trio.CancelScope() as scope:
        scope.cancel()
        await turns.outbox.turn()
    assert scope.cancelled_caught
    async with trio.open_nursery() as nursery:
        await turns.begin(nursery, "next")
        assert turns.taken == ["next"]
        turns.go_on["next"].set()


async def test_between_two_large_chunks_everybody_else_gets_to_run() -> None:
    outbox = Outbox(MemoryWire())
    passes = 0
    posted: list[int] = []  # the pass of each

    async def pump() -> None:
        for _ in range(20):
            await outbox.turn()
            posted.append(passes)
            outbox.post(b"x")
            outbox.pass_turn()

    async def count_passes() -> None:
        nonlocal passes
        while True:
            passes += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count_passes)
        async with trio.open_nursery() as pumps:
            for _ in range(8):
                pumps.start_soon(pump)
        nursery.cancel_scope.cancel()
    # The counter runs before or after the others in its pass, as trio pleases: so two may show one number, never three.
    assert all(later > earlier for earlier, later in zip(posted, posted[2:], strict=False))
    assert passes >= 8 * 20 - 1


# A reader that has gone.


async def test_when_the_reader_has_gone_the_writer_ends_and_nobody_waits(autojump_clock: MockClock) -> None:
    wire = MemoryWire(room=0)
    outbox = Outbox(wire)
    outbox.post(bytes(FULL_BYTES))
    with trio.fail_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outbox.run)
            nursery.start_soon(outbox.room)
            nursery.start_soon(outbox.turn)
            await wait_all_tasks_blocked()
            wire.hang_up()
    assert isinstance(outbox.lost, BrokenPipeError)
    assert (outbox.backlog, outbox.posted) == (0, FULL_BYTES)


async def test_what_is_posted_after_the_reader_has_gone_is_not_kept() -> None:
    wire = MemoryWire()
    outbox = Outbox(wire)
    wire.hang_up()
    for _ in range(3):
        outbox.post(bytes(FULL_BYTES))
        assert outbox.backlog == 0
        assert never_waits(outbox.room(1))
    outbox.cork()
    outbox.post(b"more")
    outbox.flush()
    assert (outbox.backlog, outbox.posted, wire.output) == (0, 3 * FULL_BYTES + 4, b"")
