"""The log of a process beside a model that keeps everything and looks through all of it each time."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule
from trio.testing import wait_all_tasks_blocked

from execserver.server import log as module
from execserver.server.limits import DEFAULTS
from execserver.server.log import RETAIN_CHUNKS, EventLog
from execserver.wire.process import Chunk, Stream

STREAMS: list[Stream] = ["stdout", "stderr", "pty"]
MAX_BYTES = 40
MAX_CHUNKS = 6
LINE_BYTES = 100  # on the wire, beside the chunk


class Told(NamedTuple):
    chunk: Chunk
    position: int  # of the wire, where it ends


class LogMachine(RuleBasedStateMachine):
    """Appends, a wire that takes some of it, and reads; the bounds are small, so that all of them come into play."""

    cursors = Bundle("cursors")

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(module, "RETAIN_CHUNKS", MAX_CHUNKS)
        self.log = EventLog(MAX_BYTES)
        self.told: list[Told] = []
        self.evicted = 0  # the first so many of them
        self.seq = self.posted = self.written = 0
        self.exit_seq: int | None = None
        self.closed_seq: int | None = None

    def teardown(self) -> None:
        self.patch.undo()

    def held(self) -> list[Chunk]:
        return [told.chunk for told in self.told[self.evicted :]]

    def append(self, stream: Stream, data: bytes, written: int) -> int:
        self.seq += 1
        assert self.log.append_output(stream, data) == self.seq
        self.posted += len(data) + LINE_BYTES
        self.written = max(self.written, min(written, self.posted))
        self.told.append(Told(Chunk(self.seq, stream, data), self.posted))
        self.log.sent(self.seq, self.posted, self.written)
        self.evict()
        return self.seq

    def evict(self) -> None:
        while self.told[self.evicted :] and self.told[self.evicted].position <= self.written:
            if sum(len(chunk.chunk) for chunk in self.held()) <= MAX_BYTES and len(self.held()) <= MAX_CHUNKS:
                break
            self.evicted += 1

    @precondition(lambda self: self.closed_seq is None)
    @rule(
        target=cursors,
        stream=st.sampled_from(STREAMS),
        data=st.binary(min_size=1, max_size=20) | st.binary(min_size=MAX_BYTES + 1, max_size=MAX_BYTES + 5),
        backlog=st.sampled_from([0, 0, 1, 150, 500, 1 << 60, "this"]),
    )
    def output(self, stream: Stream, data: bytes, backlog: int | str) -> int:
        line = len(data) + LINE_BYTES
        return self.append(stream, data, self.posted + line - (backlog if isinstance(backlog, int) else line))

    @rule(count=st.integers(1, 300))
    def more_leaves_for_the_wire(self, count: int) -> None:
        self.written = min(self.written + count, self.posted)
        self.log.trim(self.written)
        self.evict()

    @precondition(lambda self: self.closed_seq is None)
    @rule(target=cursors, count=st.integers(500, 1100))
    def many_tiny_outputs(self, count: int) -> int:
        for _ in range(count):
            self.append("stdout", b"x", 1 << 60)
        return self.seq

    @precondition(lambda self: self.exit_seq is None)
    @rule(target=cursors, code=st.integers(0, 255))
    def exited(self, code: int) -> int:
        self.seq += 1
        assert self.log.append_exited(code) == self.seq
        self.exit_seq, self.exit_code = self.seq, code
        return self.seq

    @precondition(lambda self: self.exit_seq is not None and self.closed_seq is None)
    @rule(target=cursors)
    def closed(self) -> int:
        self.seq += 1
        assert self.log.append_closed() == self.seq
        self.closed_seq = self.seq
        return self.seq

    @rule(after_seq=cursors | st.integers(0, 10) | st.just(2**64), max_bytes=st.integers(0, 100) | st.just(2**64))
    def read(self, after_seq: int, max_bytes: int) -> None:
        ahead = [chunk for chunk in self.held() if chunk.seq > after_seq]
        fitting = [
            chunk
            for number, chunk in enumerate(ahead)
            if number == 0 or sum(len(earlier.chunk) for earlier in ahead[: number + 1]) <= max_bytes
        ]
        page = self.log.read(after_seq, max_bytes)
        assert page.chunks == fitting
        assert page.next_seq == (fitting[-1].seq + 1 if len(fitting) < len(ahead) else self.seq + 1)
        assert (page.exited, page.exit_code) == (self.exit_seq is not None, getattr(self, "exit_code", None))
        assert (page.closed, page.exit_seq, page.closed_seq) == (self.closed_seq is not None, *self.ends())
        assert (page.oldest_seq, page.dropped_bytes) == (self.oldest(), self.dropped())
        assert (page.failure, page.sandbox_denied) == (None, False)

    @rule(after_seq=cursors | st.integers(0, 10))
    def ask_for_news(self, after_seq: int) -> None:
        seen = [told.chunk.seq for told in self.told] + ([self.exit_seq] if self.exit_seq is not None else [])
        assert self.log.has_news(after_seq) == (self.closed_seq is not None or any(seq > after_seq for seq in seen))

    @rule(max_bytes=st.integers(0, 50))
    def page_through(self, max_bytes: int) -> None:
        found, cursor = list[Chunk](), 0
        while page := self.log.read(cursor, max_bytes).chunks:
            found += page
            cursor = self.log.read(cursor, max_bytes).next_seq - 1
        assert found == self.held()

    @invariant()
    def counts_are_right(self) -> None:
        everything = [told.chunk for told in self.told]
        of_stderr = sum(len(chunk.chunk) for chunk in everything if chunk.stream == "stderr")
        assert self.log.stderr_bytes == of_stderr
        assert self.log.stdout_bytes == sum(len(chunk.chunk) for chunk in everything) - of_stderr
        assert self.log.retained_bytes == sum(len(chunk.chunk) for chunk in self.held())
        assert self.log.dropped_bytes == self.dropped()
        assert self.log.next_seq == self.seq + 1
        assert self.log.oldest_seq == self.oldest()

    def ends(self) -> tuple[int | None, int | None]:
        return self.exit_seq, self.closed_seq

    def oldest(self) -> int:
        numbers = [chunk.seq for chunk in self.held()] + [seq for seq in self.ends() if seq is not None]
        return min(numbers, default=self.seq + 1)

    def dropped(self) -> int:
        return sum(len(told.chunk.chunk) for told in self.told[: self.evicted])


LogMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestLog = LogMachine.TestCase


def appended(log: EventLog, chunks: Iterator[bytes]) -> None:
    for data in chunks:
        log.sent(log.append_output("stdout", data), 0, 0)


def test_the_last_mebibyte_is_retained() -> None:
    log = EventLog(DEFAULTS.retain_bytes)
    appended(log, (b"x" * 1000 for _ in range(2000)))
    assert 1024 * 1024 - 1000 < log.retained_bytes <= 1024 * 1024
    assert log.retained_bytes + log.dropped_bytes == 2_000_000
    assert log.read(0).chunks[0].seq == log.oldest_seq == 2001 - log.retained_bytes // 1000


def test_at_most_16384_chunks_are_retained_however_small() -> None:
    log = EventLog(DEFAULTS.retain_bytes)
    appended(log, (b"x" for _ in range(40_000)))
    assert len(log.read(0).chunks) == log.retained_bytes == RETAIN_CHUNKS == 16_384
    assert log.oldest_seq == 40_001 - RETAIN_CHUNKS


def test_a_page_stops_before_the_chunk_that_would_pass_its_bound_but_has_at_least_one() -> None:
    log = EventLog(DEFAULTS.retain_bytes)
    appended(log, iter([b"x" * 6, b"y" * 4, b"z"]))
    for max_bytes, held in ((0, 1), (9, 1), (10, 2), (11, 3)):
        page = log.read(0, max_bytes)
        assert (len(page.chunks), page.next_seq) == (held, held + 1)


def test_what_is_not_on_the_wire_is_kept_beyond_every_bound() -> None:
    log = EventLog(10)
    for seq in range(1, 5):
        log.append_output("stdout", b"x" * 10)
        log.sent(seq, seq * 100, written=50)
    assert [chunk.seq for chunk in log.read(0).chunks] == [1, 2, 3, 4]
    for written, held in ((199, [2, 3, 4, 5]), (200, [3, 4, 5, 6]), (600, [5, 6, 7])):
        seq = log.append_output("stdout", b"y")
        log.sent(seq, seq * 100, written)
        assert [chunk.seq for chunk in log.read(0).chunks] == held


def test_the_exit_and_the_close_outlive_all_output() -> None:
    log = EventLog(0)
    appended(log, iter([b"x"]))
    log.append_exited(3)
    appended(log, iter([b"late"]))
    log.append_closed()
    page = log.read(0)
    assert (page.chunks, page.exit_code, page.exit_seq, page.closed_seq, page.oldest_seq) == ([], 3, 2, 4, 2)
    assert (page.next_seq, page.dropped_bytes) == (5, 5)


@pytest.mark.parametrize("happens", ["output", "exited", "closed"])
async def test_every_waiting_poll_is_woken_by_every_event(happens: str) -> None:
    log = EventLog(DEFAULTS.retain_bytes)
    woken: list[int] = []

    async def wait(number: int) -> None:
        await log.wait_for_append()
        woken.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(wait, number)
        await wait_all_tasks_blocked()
        assert woken == []
        if happens == "output":
            log.append_output("stdout", b"x")
        elif happens == "exited":
            log.append_exited(0)
        else:
            log.append_closed()
    assert sorted(woken) == [0, 1, 2]


def test_reading_at_the_tail_of_a_long_log_looks_at_no_other_chunk() -> None:
    log = EventLog(1 << 40)
    appended(log, (b"x" for _ in range(10_000)))
    log._chunks[:-1] = [None] * (len(log._chunks) - 1)  # to look at one of these is an error
    assert [chunk.seq for chunk in log.read(9_999).chunks] == [10_000]
