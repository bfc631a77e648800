"""One process and the order of its events, in virtual time, over a child without a kernel and a wire in memory."""

import base64
import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from execserver.server.child import CHUNK_BYTES
from execserver.server.ending import DRAIN_SECONDS, GRACE_SECONDS
from execserver.server.outbox import FULL_BYTES, Outbox
from execserver.server.process import HANGUP_SECONDS, LARGE_BYTES, Process
from execserver.server.record import Record
from execserver.wire.process import StartParams
from tests.support.deliveries import decided
from tests.support.fake_child import FakeChild, FakeSource
from tests.support.memory_wire import MemoryWire

TERM, KILL, CONT = signal.SIGTERM, signal.SIGKILL, signal.SIGCONT
RETAIN_BYTES = 256 * 1024
STUBBORN = (TERM, signal.SIGHUP, signal.SIGINT)


def record(params: StartParams) -> Record:
    return Record(params, pid=4321, cwd="/", started_at_ms=1, retain_bytes=RETAIN_BYTES)


def retain_nothing(process: Process) -> None:
    """Let it go at its close."""


class Followed:
    """A process, and its events as they came out on the wire."""

    def __init__(self, params: StartParams, child: FakeChild, wire: MemoryWire, nursery: trio.Nursery) -> None:
        self.child = child
        self.wire = wire
        self.outbox = Outbox(wire)
        self.record = record(params)
        self.retained: list[Process] = []
        self.heard_when_retained = b""
        self.process = Process(params, self.record, child, self.outbox, nursery, self._retain)

    def _retain(self, process: Process) -> None:
        self.retained.append(process)
        self.heard_when_retained = bytes(self.wire.output)

    def params(self) -> list[dict[str, Any]]:
        return [json.loads(line)["params"] for line in self.wire.output.splitlines()]

    def kinds(self) -> list[str]:
        return [json.loads(line)["method"].removeprefix("process/") for line in self.wire.output.splitlines()]

    def events(self) -> list[tuple[Any, ...]]:
        """Each as (seq, stream, data), (seq, exit code, reason) or (seq, reason)."""
        told: list[tuple[Any, ...]] = []
        for kind, event in zip(self.kinds(), self.params(), strict=True):
            assert event["processId"] == "p"
            if kind == "output":
                told.append((event["seq"], event["stream"], base64.b64decode(event["chunk"], validate=True)))
            elif kind == "exited":
                told.append((event["seq"], event["exitCode"], event["reason"]))
            else:
                told.append((event["seq"], event["reason"]))
        return told

    def said(self, stream: str = "stdout") -> bytes:
        return b"".join(event[2] for event in self.events() if event[1] == stream)


@asynccontextmanager
async def following(child: FakeChild, *, room: int | None = None, **params: Any) -> AsyncIterator[Followed]:
    """Run a process beside the test; it must have closed by the end of it."""
    wire = MemoryWire(room)
    async with trio.open_nursery() as nursery, trio.open_nursery() as owners:
        it = Followed(StartParams("p", ["x"], **params), child, wire, owners)
        nursery.start_soon(it.outbox.run)
        owners.start_soon(it.process.supervise)
        await wait_all_tasks_blocked()
        yield it
        wire.read(None)
        with trio.fail_after(10_000):
            while not it.process.log.closed_seq:
                await it.process.log.wait_for_append()
        await wait_all_tasks_blocked()
        assert child.closed
        assert child.reported
        assert it.retained == [it.process]
        nursery.cancel_scope.cancel()


async def test_output_exit_and_close_have_one_counter() -> None:
    child = FakeChild()
    async with following(child) as it:
        child.says(b"out")
        await wait_all_tasks_blocked()
        child.says(b"err", "stderr")
        await wait_all_tasks_blocked()
        child.exits(3)
    assert it.events() == [(1, "stdout", b"out"), (2, "stderr", b"err"), (3, 3, "exit"), (4, "endOfFile")]


async def test_the_exit_tells_the_cost_and_the_close_the_totals(autojump_clock: MockClock) -> None:
    child = FakeChild()
    async with following(child) as it:
        child.says(b"four")
        child.says(b"three", "stderr")
        await trio.sleep(1.25)
        child.exits()
    *_, exited, closed = it.params()
    assert (exited["durationMs"], exited["usage"]) == (1250, {"userMs": 12, "systemMs": 34})
    assert (exited["signal"], exited["coreDumped"], exited["sandboxDenied"]) == (None, False, False)
    assert (closed["stdoutBytes"], closed["stderrBytes"]) == (4, 5)


async def test_a_death_by_signal_is_128_and_its_number() -> None:
    child = FakeChild()
    async with following(child) as it:
        child.signal_group(signal.SIGINT)
    assert it.events() == [(1, 130, "signal"), (2, "endOfFile")]
    assert it.params()[0]["signal"] == "SIGINT"


async def test_what_the_child_wrote_before_it_ended_is_numbered_before_its_exit() -> None:
    child = FakeChild(escaped=True)
    async with following(child) as it:
        child.says(b"x" * (CHUNK_BYTES + 5))
        child.says(b"oops", "stderr")
        child.exits()
        await wait_all_tasks_blocked()
        assert it.kinds() == ["output", "output", "output", "exited"]
        assert (it.said(), it.said("stderr")) == (b"x" * (CHUNK_BYTES + 5), b"oops")
        child.last_holder_ends()


async def test_exit_and_close_leave_in_one_write_where_the_streams_end_with_the_child() -> None:
    child = FakeChild()
    async with following(child) as it:
        child.exits()
    assert it.kinds() == ["exited", "closed"]
    assert len(it.wire.writes) == 1


async def test_the_pump_that_finds_the_last_end_of_file_closes_without_its_owner(autojump_clock: MockClock) -> None:
    child = FakeChild()
    child.noticed_after = 1
    async with following(child) as it:
        child.exits()
        await wait_all_tasks_blocked(0.1)
        assert it.events() == [(1, 0, "exit"), (2, "endOfFile")]
        await trio.sleep(1)
    assert len(it.events()) == 2


class _Tasks(trio.abc.Instrument):
    """How much of a child's stdout had been read when each task began."""

    def __init__(self, child: FakeChild) -> None:
        self.read_when_begun: list[int] = []
        self._child = child

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        self.read_when_begun.append(self._child.sources[0].was_read)


@contextmanager
def tasks_of(child: FakeChild) -> Iterator[_Tasks]:
    tasks = _Tasks(child)
    trio.lowlevel.add_instrument(tasks)
    yield tasks
    trio.lowlevel.remove_instrument(tasks)


@pytest.mark.parametrize("tty", [False, True])
@pytest.mark.parametrize("said", [b"", b"a little"])
async def test_a_process_that_is_over_before_it_is_followed_needs_no_tasks(tty: bool, said: bytes) -> None:
    child = FakeChild(tty=tty)
    if said:
        child.says(said)
    child.exits(3)
    async with trio.open_nursery() as nursery:
        it = Followed(StartParams("p", ["x"], tty=tty), child, MemoryWire(), nursery)
        with tasks_of(child) as tasks:
            await it.process.supervise()
    assert tasks.read_when_begun == []
    output = [("pty" if tty else "stdout", said)] if said else []
    assert [event[1:] for event in it.events()] == [*output, (3, "exit"), ("endOfFile",)]
    assert child.closed
    assert child.reported
    assert it.retained == [it.process]


@pytest.mark.parametrize("room", [None, 0])
@pytest.mark.parametrize("size", [1, LARGE_BYTES - 1, LARGE_BYTES, 3 * CHUNK_BYTES])
async def test_whatever_a_child_left_before_it_is_followed_is_told_before_its_exit(size: int, room: int | None) -> None:
    child = FakeChild()
    child.says(b"x" * size)
    child.says(b"y" * size, "stderr")
    child.exits()
    async with following(child, room=room) as it:
        it.wire.read(None)
    assert (it.said(), it.said("stderr")) == (b"x" * size, b"y" * size)
    assert it.kinds()[-2:] == ["exited", "closed"]
    assert [event["seq"] for event in it.params()] == [*range(1, len(it.params()) + 1)]


@pytest.mark.parametrize(
    ("chunk", "backlog", "read"),
    [(b"y", 0, 2), (b"y" * LARGE_BYTES, 0, LARGE_BYTES), (b"y", FULL_BYTES, 0)],
    ids=["a chunk and what was to be the end", "no second one that is large", "nothing where there is no room"],
)
async def test_what_is_not_over_is_left_to_the_pumps(chunk: bytes, backlog: int, read: int) -> None:
    child = FakeChild(escaped=True)
    child.source("stdout").flood(chunk)
    child.exits()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            it = Followed(StartParams("p", ["x"]), child, MemoryWire(0 if backlog else None), nursery)
            it.outbox.post(bytes(backlog))
            with tasks_of(child) as tasks:
                scope.cancel()
                await it.process.supervise()
    assert tasks.read_when_begun == [read, read]


async def test_who_writes_on_after_a_child_that_has_ended_does_not_keep_the_server(autojump_clock: MockClock) -> None:
    child = FakeChild(escaped=True)
    child.source("stdout").flood(b"y")
    child.exits()
    async with trio.open_nursery() as nursery:
        it = Followed(StartParams("p", ["x"], drain_ms=1), child, MemoryWire(), nursery)
        nursery.start_soon(it.process.supervise)
        for _ in range(50):
            await trio.lowlevel.checkpoint()
        assert "exited" in it.kinds()
        child.source("stdout").endless = b""
    assert it.events()[-1][-1] == "drainTimeout"


async def test_a_child_that_has_ended_is_reaped_although_its_owner_is_cancelled() -> None:
    child = FakeChild(escaped=True)
    async with trio.open_nursery() as nursery:
        it = Followed(StartParams("p", ["x"]), child, MemoryWire(), nursery)
        nursery.start_soon(it.process.supervise)
        await wait_all_tasks_blocked()
        child.exits()
        nursery.cancel_scope.cancel()
    assert child.reaped
    assert it.kinds() == ["exited"]


async def test_the_client_hears_of_the_end_before_it_is_put_away() -> None:
    child = FakeChild()
    told: list[list[str]] = []
    really_report = child.report_reaped

    def report_reaped() -> None:
        really_report()
        told.append(it.kinds())

    child.report_reaped = report_reaped  # type: ignore[method-assign]
    async with following(child) as it:
        child.exits()
    assert told[0] == ["exited", "closed"]
    assert b"process/closed" in it.heard_when_retained


async def test_the_exit_does_not_wait_for_who_holds_the_streams() -> None:
    child = FakeChild(escaped=True)
    async with following(child) as it:
        child.exits()
        await wait_all_tasks_blocked()
        assert it.kinds() == ["exited"]
        child.last_holder_ends()
    assert it.kinds() == ["exited", "closed"]


@pytest.mark.parametrize("size", [1, LARGE_BYTES, 3 * CHUNK_BYTES])
async def test_it_is_numbered_before_the_exit_though_the_client_reads_late(size: int) -> None:
    child = FakeChild(escaped=True)
    async with following(child, room=0) as it:
        it.outbox.post(b"{}\n" * FULL_BYTES)
        child.says(b"x" * size)
        child.says(b"y", "stderr")
        await wait_all_tasks_blocked()
        child.exits()
        await wait_all_tasks_blocked()
        assert it.process.log.exit_seq is None
        it.wire.output = b""
        it.wire.read(None)
        await wait_all_tasks_blocked()
        it.wire.output = it.wire.output.replace(b"{}\n", b"")
        assert it.kinds()[-1] == "exited"
        assert (it.said(), it.said("stderr")) == (b"x" * size, b"y")
        child.last_holder_ends()


async def test_late_output_of_a_descendant_follows_the_exit_and_the_close_follows_that() -> None:
    child = FakeChild(escaped=True)
    async with following(child) as it:
        child.exits()
        await wait_all_tasks_blocked()
        assert it.events() == [(1, 0, "exit")]
        child.says(b"late")
        await wait_all_tasks_blocked()
        child.last_holder_ends()
    assert it.events() == [(1, 0, "exit"), (2, "stdout", b"late"), (3, "endOfFile")]


async def test_a_descendant_that_never_stops_writing_does_not_hold_the_exit_back(autojump_clock: MockClock) -> None:
    child = FakeChild(escaped=True)
    async with following(child, drain_ms=1) as it:
        child.source("stdout").flood(b"y" * LARGE_BYTES)
        await trio.lowlevel.checkpoint()
        child.exits()
        for _ in range(50):
            await trio.lowlevel.checkpoint()
        assert "exited" in it.kinds()
        assert it.kinds()[-1] == "output"
        child.source("stdout").endless = b""
    assert it.events()[-1][-1] == "drainTimeout"


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["stdout", "stderr"]), st.integers(1, 9)),
        st.sampled_from(["exit", "wait", "end of file"]),
        st.tuples(st.just("read"), st.integers(1, 400)),
    ),
    max_size=20,
)


@settings(deadline=None)
@given(STEPS, st.booleans())
async def test_whatever_happens_the_events_are_without_gaps_exact_and_in_order(steps: list[Any], stalled: bool) -> None:
    child = FakeChild(escaped=True)
    said = {"stdout": b"", "stderr": b""}
    at_exit = dict(said)
    holders = True
    async with following(child, room=0 if stalled else None) as it:
        for step in steps:
            if step == "exit" and child.ended is None:
                child.exits(7)
                at_exit = dict(said)
            elif step == "wait":
                await wait_all_tasks_blocked()
            elif step == "end of file" and child.ended is not None and holders:
                child.last_holder_ends()
                holders = False
            elif step[0] == "read" and it.wire.room is not None:
                it.wire.read(step[1])
            elif step[0] in said and holders:
                data = str(len(said[step[0]]) % 10).encode() * step[1]
                said[step[0]] += data
                child.says(data, step[0])
        if child.ended is None:
            child.exits(7)
            at_exit = dict(said)
        if holders:
            child.last_holder_ends()
    events = it.events()
    assert [event[0] for event in events] == list(range(1, len(events) + 1))
    assert (it.said(), it.said("stderr")) == (said["stdout"], said["stderr"])
    assert (it.kinds().count("exited"), it.kinds().index("closed")) == (1, len(events) - 1)
    before = events[: it.kinds().index("exited")]
    for stream, own in at_exit.items():
        assert len(b"".join(event[2] for event in before if event[1] == stream)) >= len(own)
    assert it.params()[-1]["stdoutBytes"] == len(said["stdout"])
    assert it.process.log.read(0).chunks == [
        type(chunk)(*event) for chunk, event in zip(it.process.log.read(0).chunks, outputs(events), strict=True)
    ]


def outputs(events: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [event for event in events if event[1] in ("stdout", "stderr")]


# The drain.


async def test_with_a_drain_the_close_comes_that_long_after_the_exit(autojump_clock: MockClock) -> None:
    child = FakeChild(escaped=True)
    async with following(child, drain_ms=700) as it:
        await trio.sleep(5)
        child.exits()
        await trio.sleep(0.6)
        child.says(b"late")
        await wait_all_tasks_blocked()
        assert it.kinds() == ["exited", "output"]
        await trio.sleep(0.2)
        assert it.events()[-1] == (3, "drainTimeout")


async def test_a_drain_that_is_not_needed_changes_nothing(autojump_clock: MockClock) -> None:
    child = FakeChild()
    async with following(child, drain_ms=700) as it:
        began = trio.current_time()
        child.exits()
    assert (it.events(), trio.current_time()) == ([(1, 0, "exit"), (2, "endOfFile")], began)


@pytest.mark.parametrize("held", [5, LARGE_BYTES, CHUNK_BYTES, CHUNK_BYTES + 5, 5 * CHUNK_BYTES])
async def test_the_end_of_the_drain_takes_exactly_what_is_held_then(autojump_clock: MockClock, held: int) -> None:
    child = FakeChild(escaped=True)
    async with following(child, room=0, drain_ms=1000) as it:
        child.exits()
        await wait_all_tasks_blocked()
        it.outbox.post(b"\n" * FULL_BYTES)
        child.says(b"first")  # the pump reads this much before it sees that there is no room
        await wait_all_tasks_blocked()
        child.says(b"x" * held)
        await trio.sleep(2)  # the drain is over, and the client still does not read
        child.says(b"too late")
        assert it.process.log.closed_seq is None
        it.wire.read(None)
        await wait_all_tasks_blocked()
        it.wire.output = it.wire.output.replace(b"\n" * 100, b"").replace(b"\n\n", b"")
        assert it.said() == b"first" + b"x" * held
        assert it.events()[-1][-1] == "drainTimeout"
        assert it.params()[-1]["stdoutBytes"] == 5 + held


# Timeouts, and what a client does to end it.


async def test_at_its_timeout_it_is_stopped_and_what_was_said_stays(autojump_clock: MockClock) -> None:
    child = FakeChild()
    async with following(child, timeout_ms=1500) as it:
        child.says(b"partial")
        await trio.sleep(1.4)
        assert child.signals == []
        await trio.sleep(0.2)
    assert [number for _, number in child.signals] == [TERM, CONT]
    assert it.events() == [(1, "stdout", b"partial"), (2, 143, "timeout"), (3, "endOfFile")]
    assert it.params()[1]["durationMs"] == 1500


async def test_one_that_ignores_its_timeout_is_killed_after_the_grace(autojump_clock: MockClock) -> None:
    child = FakeChild(ignores=STUBBORN)
    async with following(child, timeout_ms=1000) as it:
        await trio.sleep(10)
    assert it.events() == [(1, 137, "timeout"), (2, "endOfFile")]
    assert it.params()[0]["durationMs"] == 1000 + GRACE_SECONDS * 1000


async def test_without_output_for_so_long_it_is_stopped(autojump_clock: MockClock) -> None:
    child = FakeChild()
    async with following(child, idle_timeout_ms=1000) as it:
        for _ in range(5):
            await trio.sleep(0.9)
            child.says(b".", "stderr")
        await trio.sleep(10)
    assert it.events()[-2:] == [(6, 143, "idleTimeout"), (7, "endOfFile")]
    assert it.params()[-2]["durationMs"] == 4500 + 1000


async def test_a_client_that_does_not_read_makes_nobody_idle(autojump_clock: MockClock) -> None:
    child = FakeChild()
    async with following(child, room=0, idle_timeout_ms=1000) as it:
        it.outbox.post(b"\n" * FULL_BYTES)
        child.says(b"one")
        await wait_all_tasks_blocked()
        child.says(b"two")
        await trio.sleep(100)
        assert child.signals == []
        it.wire.read(None)
        await trio.sleep(0.9)
        assert child.signals == []
        await trio.sleep(2)
        assert child.signals != []


async def test_the_shortest_idle_timeout_is_not_watched_all_the_time() -> None:
    child = FakeChild()
    source, looks = child.source("stdout"), 0
    really_held = source.held

    def held() -> int:
        nonlocal looks
        looks += 1
        return 1  # a client that does not read

    source.held = held  # type: ignore[method-assign]
    async with trio.open_nursery() as nursery:
        it = Followed(StartParams("p", ["x"], idle_timeout_ms=0), child, MemoryWire(), nursery)
        nursery.start_soon(it.process.supervise)
        for _ in range(1000):
            await trio.lowlevel.checkpoint()
        source.held = really_held  # type: ignore[method-assign]
        child.exits()
    assert looks < 100


async def test_the_watch_for_idleness_ends_with_the_child(autojump_clock: MockClock) -> None:
    child = FakeChild(escaped=True)
    async with following(child, idle_timeout_ms=1000) as it:
        child.exits()
        await trio.sleep(10)
        assert child.signals == []
        child.last_holder_ends()
    assert it.events() == [(1, 0, "exit"), (2, "endOfFile")]


async def test_terminated_twice_it_is_stopped_once(autojump_clock: MockClock) -> None:
    child = FakeChild(ignores=STUBBORN)
    async with following(child) as it:
        it.process.ending.stop("terminated", 5)
        await trio.sleep(1)
        it.process.ending.stop("terminated", 5)
        await trio.sleep(20)
    assert [number for _, number in child.signals] == [TERM, CONT, KILL]
    assert it.events() == [(1, 137, "terminated"), (2, "endOfFile")]
    assert it.params()[0]["durationMs"] == 5000


async def test_the_close_of_a_terminated_process_comes_whoever_holds_its_pipes(autojump_clock: MockClock) -> None:
    child = FakeChild(escaped=True)
    async with following(child) as it:
        it.process.ending.stop("terminated", 5)
        await trio.sleep(DRAIN_SECONDS - 0.1)
        assert it.events() == [(1, 143, "terminated")]
        await trio.sleep(0.2)
        assert it.events()[-1] == (2, "drainTimeout")


async def test_stopped_after_its_exit_its_group_is_ended_and_the_close_comes(autojump_clock: MockClock) -> None:
    child = FakeChild(descendant_ignores=STUBBORN)
    async with following(child) as it:
        child.exits(4)
        await trio.sleep(1)
        began = trio.current_time()
        it.process.ending.stop("terminated", 1)
        await trio.sleep(30)
        assert [(when - began, number) for when, number in child.signals] == [(0, TERM), (0, CONT), (1, KILL)]
    assert it.events() == [(1, 4, "exit"), (2, "endOfFile")]


async def test_its_own_drain_bounds_that_of_the_stopped(autojump_clock: MockClock) -> None:
    child = FakeChild(escaped=True)
    async with following(child, drain_ms=100) as it:
        began = trio.current_time()
        it.process.ending.stop("terminated", 5)
        while not it.process.log.closed_seq:
            await it.process.log.wait_for_append()
        assert trio.current_time() - began == pytest.approx(0.1)


async def test_when_its_owner_is_cancelled_the_group_is_killed_and_everything_closed() -> None:
    child = FakeChild(ignores=STUBBORN)
    async with trio.open_nursery() as nursery:
        params = StartParams("p", ["x"])
        process = Process(params, record(params), child, Outbox(MemoryWire()), nursery, retain_nothing)
        nursery.start_soon(process.supervise)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [number for _, number in child.signals] == [KILL]
    assert child.closed
    assert process.log.closed_seq is None


# A terminal.


async def test_all_that_a_terminal_holds_is_numbered_before_the_exit() -> None:
    child = FakeChild(tty=True)
    async with following(child, tty=True) as it:
        child.says(b"prompt$ ")
        child.exits()
    assert it.events() == [(1, "pty", b"prompt$ "), (2, 0, "exit"), (3, "endOfFile")]
    assert (it.params()[-1]["stdoutBytes"], it.params()[-1]["stderrBytes"]) == (8, 0)


@pytest.mark.parametrize("held", [b"", b"held"])
async def test_a_terminal_without_hangup_holds_the_exit_back_for_a_moment_only(
    autojump_clock: MockClock, held: bytes
) -> None:
    child = FakeChild(tty=True, keeps_terminal=True)
    async with following(child, tty=True, room=0 if held else None) as it:
        if held:
            it.outbox.post(b"\n" * FULL_BYTES)
            child.says(b"x")
            await wait_all_tasks_blocked()
            child.says(held)
        began = trio.current_time()
        child.exits()
        await trio.sleep(HANGUP_SECONDS - 0.1)
        assert it.process.log.exit_seq is None
        await trio.sleep(0.2)
        it.wire.read(None)
        while it.process.log.exit_seq is None:
            await it.process.log.wait_for_append()
        assert trio.current_time() - began == pytest.approx(HANGUP_SECONDS + 0.1 if held else HANGUP_SECONDS, abs=0.11)
        assert it.process.log.closed_seq is None
        assert it.process.log.stdout_bytes == len(held) + bool(held)
        it.wire.output = it.wire.output.replace(b"\n" * 100, b"").replace(b"\n\n", b"")
        child.last_holder_ends()


# Its stdin, and what is told of it.


@pytest.mark.parametrize("drain_ms", [None, 500])
async def test_what_a_terminal_threw_away_is_not_waited_for(autojump_clock: MockClock, drain_ms: int | None) -> None:
    child = FakeChild(tty=True, keeps_terminal=True)
    async with following(child, room=0, drain_ms=drain_ms) as it:
        it.outbox.post(b"\n" * FULL_BYTES)
        child.says(b"gone")
        child.exits(0)
        await trio.sleep(HANGUP_SECONDS * 2)
        if drain_ms is None:
            it.process.ending.bound_drain(1)
            await trio.sleep(2)
        child.source("pty").flush()
        it.wire.read(None)
        await wait_all_tasks_blocked()
        assert it.process.log.exit_seq == 1
    assert it.process.log.closed_seq == 2


async def test_what_waits_for_stdin_is_refused_when_the_child_ends() -> None:
    child = FakeChild(escaped=True)
    async with following(child, pipe_stdin=True) as it:
        child.appetite = 0
        waiting = [it.process.write(b"x", None, closing=False) for _ in range(2)]
        await wait_all_tasks_blocked()
        assert [delivery.status for delivery in waiting] == [None, None]
        child.exits()
        await wait_all_tasks_blocked()
        assert [delivery.status for delivery in waiting] == ["stdinClosed", "stdinClosed"]
        assert it.process.write(b"x", None, closing=False).status == "stdinClosed"
        child.last_holder_ends()


async def test_what_waits_for_stdin_goes_on_beside_the_output() -> None:
    child = FakeChild()
    async with following(child, pipe_stdin=True) as it:
        child.appetite = 0
        for round_ in (1, 2):
            delivery = it.process.write(b"ab", None, closing=False)
            assert delivery.status is None
            child.says(b"o")
            child.eats(2)
            assert await decided(delivery) == "accepted"
            assert child.took == b"ab" * round_
        child.exits()
    assert it.said() == b"oo"


@pytest.mark.parametrize(("params", "tty", "status"), [({}, False, "stdinClosed"), ({}, True, "accepted")])
async def test_only_a_terminal_has_a_stdin_that_was_not_asked_for(
    params: dict[str, Any], tty: bool, status: str
) -> None:
    child = FakeChild(tty=tty)
    async with following(child, tty=tty, **params) as it:
        assert it.process.write(b"x", None, closing=False).status == status
        child.exits()


async def test_it_runs_until_the_child_has_ended_whoever_holds_its_pipes() -> None:
    child = FakeChild(escaped=True)
    async with following(child) as it:
        assert (it.process.running, it.record.info().state) == (True, "running")
        child.exits(9)
        await wait_all_tasks_blocked()
        assert (it.process.running, it.record.info().state) == (False, "exited")
        child.last_holder_ends()
    assert it.record.info().state == "closed"


async def test_a_child_that_closes_its_streams_and_goes_on_is_not_waited_for_and_not_closed() -> None:
    child = FakeChild()
    async with following(child) as it:
        child.closes_its_streams()
        await wait_all_tasks_blocked()
        assert (it.process.running, it.events()) == (True, [])
        child.exits(4)
    assert it.events() == [(1, 4, "exit"), (2, "endOfFile")]


# Backpressure and fairness.


async def test_a_client_that_does_not_read_stops_the_pumps(autojump_clock: MockClock) -> None:
    child = FakeChild()
    async with following(child, room=0) as it:
        child.source("stdout").flood(b"x" * CHUNK_BYTES)
        child.source("stderr").flood(b"y")
        await trio.sleep(100)
        read = child.source("stdout").was_read
        assert it.outbox.backlog <= FULL_BYTES + 2 * CHUNK_BYTES
        await trio.sleep(100)
        assert child.source("stdout").was_read == read
        for source in child.sources:
            source.endless = b""
        child.exits()


async def test_what_the_client_has_not_read_is_not_evicted(autojump_clock: MockClock) -> None:
    child = FakeChild()
    async with following(child, room=0) as it:
        child.source("stderr").flood(b"y" * 4096)
        await trio.sleep(1)
        child.source("stderr").endless = b""
        assert it.process.log.retained_bytes > RETAIN_BYTES
        it.wire.read(None)
        await wait_all_tasks_blocked()
        child.says(b"next")
        await wait_all_tasks_blocked()
        assert RETAIN_BYTES - 4096 < it.process.log.retained_bytes <= RETAIN_BYTES
        child.exits()


async def test_small_chunks_pass_while_a_flood_waits_for_its_turn() -> None:
    flood, echo = FakeChild(escaped=True), FakeChild()
    async with trio.open_nursery() as nursery:
        wire = MemoryWire()
        outbox = Outbox(wire)
        nursery.start_soon(outbox.run)
        for child in (flood, echo):
            params = StartParams("p", ["x"])
            process = Process(params, record(params), child, outbox, nursery, retain_nothing)
            nursery.start_soon(process.supervise)
        flood.source("stdout").flood(b"x" * CHUNK_BYTES)
        for number in range(10):
            await trio.lowlevel.checkpoint()
            echo.says(b"echo")
            between = flood.source("stdout").was_read
            while echo.sources[0].was_read < 4 * (number + 1):
                await trio.lowlevel.checkpoint()
            assert flood.source("stdout").was_read - between <= 4 * CHUNK_BYTES
        flood.source("stdout").endless = b""
        nursery.cancel_scope.cancel()


# What is read ahead of the pumps.


async def test_what_is_read_ahead_is_an_event_like_any_other() -> None:
    child = FakeChild()
    async with following(child) as it:
        child.says(b"out")
        child.says(b"err", "stderr")
        it.process.read_ahead()
        assert sorted(event[1:] for event in it.events()) == [("stderr", b"err"), ("stdout", b"out")]
        it.process.read_ahead()
        child.says(b"more")
        child.exits()
    assert it.events()[2:] == [(3, "stdout", b"more"), (4, 0, "exit"), (5, "endOfFile")]
    it.process.read_ahead()
    assert len(it.events()) == 5


async def test_what_is_large_waits_for_its_turn() -> None:
    child = FakeChild()
    async with following(child) as it:
        child.says(b"x" * LARGE_BYTES)
        it.process.read_ahead()
        assert it.events() == []
        await wait_all_tasks_blocked()
        assert it.said() == b"x" * LARGE_BYTES
        child.exits()


async def test_nothing_is_read_ahead_for_a_client_that_does_not_read() -> None:
    child = FakeChild()
    async with following(child, room=0) as it:
        it.outbox.post(b"x" * FULL_BYTES)
        child.says(b"held back")
        it.process.read_ahead()
        assert it.process.log.stdout_bytes == 0
        it.wire.read(None)
        await wait_all_tasks_blocked()
        assert it.process.log.stdout_bytes == len(b"held back")
        child.exits()


async def test_nothing_is_read_ahead_of_a_terminal_that_was_flushed_or_hung_up_meanwhile() -> None:
    class Flushed(FakeSource):
        def held(self) -> int:
            return 7

    child = FakeChild(tty=True)
    child.sources = [Flushed("pty")]
    async with following(child, tty=True) as it:
        it.process.read_ahead()
        child.says(b"after")
        await wait_all_tasks_blocked()
        child.exits()
        it.process.read_ahead()
    assert it.events() == [(1, "pty", b"after"), (2, 0, "exit"), (3, "endOfFile")]
