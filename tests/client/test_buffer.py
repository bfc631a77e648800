"""The buffer of one subscription, without a connection.

Rules: what the buffer gives is judged against the log of a model server, which reorders, drops, duplicates and evicts.
"""

import base64
import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from execserver.client.buffer import EVENT_BYTES, EventBuffer
from execserver.client.events import Closed, Event, Exited, Lost, Output
from execserver.client.facts import Facts
from execserver.client.inbound import TextChunk, TextPage
from execserver.wire import process as wire


class ModelServer:
    """A log, and what ``process/read`` answers from it: as our server does, or as the reference server does."""

    def __init__(self, *, says_positions: bool = True) -> None:
        self.says_positions = says_positions
        self.events: list[Event] = []
        self.evicted = 0  # the highest number of evicted output
        self.dropped_bytes = 0

    @property
    def next_seq(self) -> int:
        return len(self.events) + 1

    def _seq_of(self, kind: type[Event]) -> int | None:
        return next((event.seq for event in self.events if isinstance(event, kind)), None)

    @property
    def exit_seq(self) -> int | None:
        return self._seq_of(Exited)

    @property
    def closed_seq(self) -> int | None:
        return self._seq_of(Closed)

    def output(self, data: bytes) -> Output:
        event = Output(self.next_seq, "stdout", data)
        self.events.append(event)
        return event

    def exit(self) -> Exited:
        event = Exited(self.next_seq, 7)
        self.events.append(event)
        return event

    def close(self) -> Closed:
        event = Closed(self.next_seq)
        self.events.append(event)
        return event

    def evict(self) -> None:
        for event in self.events[self.evicted :]:
            if isinstance(event, Output):
                self.evicted = event.seq
                self.dropped_bytes += len(event.data)
                return

    def read(self, after_seq: int, max_bytes: int | None = None) -> TextPage:
        chunks: list[TextChunk] = []
        size = 0
        cut = False
        for event in self.events[max(after_seq, self.evicted) :]:
            if isinstance(event, Output):
                if chunks and max_bytes is not None and size + len(event.data) > max_bytes:
                    cut = True
                    break
                size += len(event.data)
                chunks.append(TextChunk(event.seq, event.stream, base64.b64encode(event.data).decode()))
        ends_early = cut or (not self.says_positions and max_bytes is not None and bool(chunks))
        ours = self.says_positions
        return TextPage(
            chunks,
            chunks[-1].seq + 1 if ends_early else self.next_seq,
            self.exit_seq is not None,
            7 if self.exit_seq is not None else None,
            self.closed_seq is not None,
            oldest_seq=self.evicted + 1 if ours else None,
            exit_seq=self.exit_seq if ours else None,
            closed_seq=self.closed_seq if ours else None,
            dropped_bytes=self.dropped_bytes if ours else None,
        )


def deliver(buffer: EventBuffer, facts: Facts, event: Event) -> None:
    """Push one event as a connection does."""
    facts.highest = max(facts.highest, event.seq)
    match event:
        case Output(seq, _, data):
            if buffer.wants(seq, len(data)):
                buffer.push(event)
        case Exited(seq, exit_code):
            facts.note_exited(wire.Exited("p", seq, exit_code))
        case Closed(seq):
            facts.note_closed(wire.Closed("p", seq))


def pop_all(buffer: EventBuffer) -> list[Event]:
    events = []
    while buffer.ready:
        events.append(buffer.pop())
    return events


def read_to_the_end(buffer: EventBuffer, server: ModelServer) -> list[Event]:
    events = pop_all(buffer)
    for _ in range(10_000):
        if buffer.finished:
            return events
        after = buffer.cursor
        page = server.read(after, buffer.reserve())
        buffer.release()
        buffer.add_page(page, after)
        events += pop_all(buffer)
    raise AssertionError(f"no end after {events}")


class BufferAgainstAServer(RuleBasedStateMachine):
    """Whatever happens to the pushes, the buffer gives 1, 2, 3 … as the server numbered them."""

    LIMIT = 2000

    @initialize(ours=st.booleans(), after_seq=st.integers(0, 3))
    def begin(self, ours: bool, after_seq: int) -> None:
        self.server = ModelServer(says_positions=ours)
        self.facts = Facts("p")
        self.after_seq = after_seq
        self.buffer = EventBuffer(self.facts, after_seq, self.LIMIT)
        self.in_transit: list[Event] = []
        self.pages: list[tuple[int, TextPage]] = []
        self.given: list[Event] = []

    @precondition(lambda self: self.server.closed_seq is None)
    @rule(size=st.integers(1, 900), times=st.integers(1, 4))
    def the_child_writes(self, size: int, times: int) -> None:
        for _ in range(times):
            self.in_transit.append(self.server.output(bytes([self.server.next_seq % 251]) * size))

    @precondition(lambda self: self.server.exit_seq is None)
    @rule()
    def the_child_exits(self) -> None:
        self.in_transit.append(self.server.exit())

    @precondition(lambda self: self.server.exit_seq is not None and self.server.closed_seq is None)
    @rule()
    def the_streams_end(self) -> None:
        self.in_transit.append(self.server.close())

    @rule()
    def the_server_evicts(self) -> None:
        self.server.evict()

    @precondition(lambda self: self.in_transit)
    @rule(data=st.data(), keep=st.booleans())
    def a_push_arrives_in_any_order_perhaps_not_for_the_last_time(self, data: st.DataObject, keep: bool) -> None:
        index = data.draw(st.integers(0, len(self.in_transit) - 1))
        event = self.in_transit[index]
        if not keep:
            del self.in_transit[index]
        deliver(self.buffer, self.facts, event)

    @precondition(lambda self: self.in_transit)
    @rule(data=st.data())
    def a_push_is_dropped(self, data: st.DataObject) -> None:
        del self.in_transit[data.draw(st.integers(0, len(self.in_transit) - 1))]

    @precondition(lambda self: not self.pages)
    @rule()
    def a_read_is_sent(self) -> None:
        after = self.buffer.cursor
        self.pages.append((after, self.server.read(after, self.buffer.reserve())))

    @precondition(lambda self: self.pages)
    @rule()
    def its_answer_arrives(self) -> None:
        after, page = self.pages.pop()
        self.buffer.release()
        self.buffer.add_page(page, after)

    @precondition(lambda self: self.buffer.ready)
    @rule()
    def the_consumer_takes_one(self) -> None:
        self.given.append(self.buffer.pop())

    @invariant()
    def memory_is_bounded(self) -> None:
        if hasattr(self, "buffer"):
            held = self.buffer._held.values()
            assert sum(len(output.data) + EVENT_BYTES for output in held) <= self.LIMIT + 900 + EVENT_BYTES

    def teardown(self) -> None:
        if not hasattr(self, "buffer"):
            return
        if self.server.exit_seq is None:
            self.server.exit()
        if self.server.closed_seq is None:
            self.server.close()
        self.given += read_to_the_end(self.buffer, self.server)
        check(self.given, self.server, self.after_seq)


def check(given: list[Event], server: ModelServer, after_seq: int) -> None:
    """Each number once, in order; only what was evicted is lost; the bytes lost are counted."""
    expected = after_seq + 1
    lost_bytes = 0
    for event in given:
        if isinstance(event, Lost):
            assert event.first_seq == expected
            lost = server.events[event.first_seq - 1 : event.last_seq]
            assert all(seq <= server.evicted for seq in range(event.first_seq, event.last_seq))
            lost_bytes += sum(len(output.data) for output in lost if isinstance(output, Output))
            if server.says_positions:
                assert all(isinstance(output, Output) and output.seq <= server.evicted for output in lost)
            expected = event.last_seq + 1
        elif isinstance(event, Exited) and not server.says_positions:
            # where the server does not say, the exit may be placed at the end of what was evicted around it
            assert event.exit_code == 7
            expected = max(expected, event.seq + 1)
        elif not (isinstance(event, Output) and not server.says_positions and event.seq > expected):
            assert event == server.events[event.seq - 1]
            assert event.seq == expected
            expected = event.seq + 1
    if server.says_positions and after_seq == 0:
        assert sum(event.dropped_bytes or 0 for event in given if isinstance(event, Lost)) == lost_bytes
    closed_seq = server.closed_seq
    assert closed_seq is not None
    exit_seq = server.exit_seq
    assert exit_seq is not None
    exits = sum(isinstance(event, Exited) for event in given)
    if server.says_positions or exit_seq > after_seq:
        assert exits == (exit_seq > after_seq)
    else:  # what is missing behind the exit may have been the exit, for all that is known: once too often, not never
        assert exits <= 1
    if closed_seq > after_seq:
        assert isinstance(given[-1], Closed)
        assert given[-1].seq == closed_seq
    else:
        assert given == []


BufferAgainstAServer.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestTheBufferAgainstAServer = BufferAgainstAServer.TestCase


def small_life() -> ModelServer:
    server = ModelServer()
    for data in (b"one", b"two"):
        server.output(data)
    server.exit()
    server.output(b"late")
    server.close()
    return server


@pytest.mark.parametrize("order", list(itertools.permutations(range(5))))
def test_every_order_of_arrival_gives_the_same_events(order: tuple[int, ...]) -> None:
    server, facts = small_life(), Facts("p")
    buffer = EventBuffer(facts)
    given: list[Event] = []
    for index in order:
        deliver(buffer, facts, server.events[index])
        given += pop_all(buffer)
    assert given == server.events
    assert buffer.finished


@pytest.mark.parametrize("dropped", list(itertools.product([False, True], repeat=5)))
@pytest.mark.parametrize("says_positions", [True, False])
def test_whatever_pushes_are_dropped_reading_gives_the_same_events(dropped: tuple[bool], says_positions: bool) -> None:
    server, facts = small_life(), Facts("p")
    server.says_positions = says_positions
    buffer = EventBuffer(facts)
    for event, is_dropped in zip(server.events, dropped, strict=True):
        if not is_dropped:
            deliver(buffer, facts, event)
    assert read_to_the_end(buffer, server) == server.events


def lossy_page(next_seq: int, *chunks: int, **state: bool) -> TextPage:
    text = [TextChunk(seq, "stdout", "aGk=") for seq in chunks]
    return TextPage(text, next_seq, state.get("exited", False), 7 if state.get("exited") else None, False)


def test_an_exit_among_what_was_lost_comes_before_the_close() -> None:
    facts = Facts("p")
    buffer = EventBuffer(facts)
    buffer.add_page(lossy_page(6, 5, exited=True), 0)
    facts.note_closed(wire.Closed("p", 6))
    assert pop_all(buffer) == [Lost(1, 4), Output(5, "stdout", b"hi"), Exited(5, 7), Closed(6)]


def test_an_exit_that_is_pushed_after_it_was_taken_for_lost_comes_before_the_close() -> None:
    facts = Facts("p")
    buffer = EventBuffer(facts)
    buffer.add_page(lossy_page(6, 5, exited=True), 0)
    given = pop_all(buffer)
    facts.note_exited(wire.Exited("p", 3, 7))
    facts.note_closed(wire.Closed("p", 6))
    assert given + pop_all(buffer) == [Lost(1, 4), Output(5, "stdout", b"hi"), Exited(3, 7), Closed(6)]


def test_an_exit_before_the_subscription_is_not_given() -> None:
    facts = Facts("p")
    buffer = EventBuffer(facts, after_seq=3)
    buffer.add_page(lossy_page(6, 4, 5, exited=True), 3)
    facts.note_closed(wire.Closed("p", 6))
    assert pop_all(buffer) == [Output(4, "stdout", b"hi"), Output(5, "stdout", b"hi"), Closed(6)]
    facts.note_exited(wire.Exited("p", 2, 7))
    late = EventBuffer(facts, after_seq=5)
    assert pop_all(late) == [Closed(6)]
    assert late.finished


def test_the_bytes_of_several_losses_are_the_first_ones() -> None:
    facts = Facts("p")
    buffer = EventBuffer(facts)
    deliver(buffer, facts, Output(2, "stdout", b"two"))
    buffer.add_page(TextPage([], 5, False, None, False, oldest_seq=5, dropped_bytes=11), 0)
    assert pop_all(buffer) == [Lost(1, 1, 8), Output(2, "stdout", b"two"), Lost(3, 4, None)]


def test_a_lower_number_takes_the_place_of_the_highest_when_all_is_full() -> None:
    facts = Facts("p")
    buffer = EventBuffer(facts, limit=3 * (EVENT_BYTES + 100))
    for seq in (9, 4, 3, 7, 2, 1):
        deliver(buffer, facts, Output(seq, "stdout", b"x" * 100))
    assert [event.seq for event in pop_all(buffer)] == [1, 2, 3]
    assert buffer.incomplete
    assert buffer.pressing


def test_a_push_that_finds_no_room_is_refused_until_it_is_read_back() -> None:
    server, facts = ModelServer(), Facts("p")
    buffer = EventBuffer(facts, limit=2 * (EVENT_BYTES + 100))
    outputs = [server.output(b"x" * 100) for _ in range(3)]
    for output in outputs:
        deliver(buffer, facts, output)
    assert (buffer.refused, pop_all(buffer)) == (3, outputs[:2])
    buffer.add_page(server.read(2), 2)
    assert pop_all(buffer) == outputs[2:]


def test_a_push_of_what_is_here_or_was_given_is_not_wanted() -> None:
    facts = Facts("p")
    buffer = EventBuffer(facts)
    buffer.push(Output(1, "stdout", b"a"))
    buffer.push(Output(2, "stdout", b"b"))
    buffer.pop()
    assert [buffer.wants(seq, 1) for seq in (1, 2, 3)] == [False, False, True]


def test_an_exit_behind_a_page_that_was_cut_short_has_no_place_yet() -> None:
    facts = Facts("p")
    buffer = EventBuffer(facts)
    buffer.add_page(lossy_page(3, 1, 2, exited=True), 0)
    assert (facts.exited, facts.exit_code) == (None, 7)


def test_the_last_two_numbers_of_a_closed_process_are_its_exit_and_its_close() -> None:
    facts = Facts("p")
    buffer = EventBuffer(facts)
    buffer.add_page(TextPage([TextChunk(1, "stdout", "aGk=")], 4, exited=True, closed=True, exit_code=7), 0)
    assert pop_all(buffer) == [Output(1, "stdout", b"hi"), Exited(2, 7), Closed(3)]
