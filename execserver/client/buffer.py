"""Pushes in any order in, ordered events out: the buffer of one subscription. No I/O, no clock.

The server's log is the truth and a push is a hint. Rules:

1. `pop` gives each number above ``after_seq`` once, in order, up to and including `Closed`.
2. Held output is bounded by ``limit``. What does not fit is refused, the highest numbers first, and read back later:
   the number that comes next is always held, so a full buffer can always be emptied.
3. Exited and closed are not held here but in `Facts`, and so are never refused.
4. A number that a page covers, and that neither the page nor a push has, is gone: `Lost`, in its place.
"""

from collections.abc import Iterator

from execserver.client.events import Closed, Event, Exited, Lost, Output
from execserver.client.facts import Facts
from execserver.client.inbound import TextPage
from execserver.wire.base64 import decode_text

LIMIT_BYTES = 1 << 20
EVENT_BYTES = 256  # what an Output costs beside its data: a flood of empty chunks is bounded as well


class EventBuffer:
    """The ordered view of one process's events behind ``after_seq``; see the module's rules."""

    def __init__(self, facts: Facts, after_seq: int = 0, limit: int = LIMIT_BYTES) -> None:
        self._facts = facts
        self._after = after_seq
        self.limit = limit
        self._held: dict[int, Output] = {}
        self._held_bytes = 0
        self._top = 0  # no number above it is held
        self._reserved = 0
        self._lost: dict[int, Lost] = {}  # by first_seq
        self._exit_given = False
        self._lossy = False
        self._ended = False
        # What passed by for the sake of `Lost.dropped_bytes`; only a subscription from the start can know it.
        self._passed_bytes = 0
        self.cursor = after_seq
        self.refused = 0  # the highest number that existed and was not kept

    @property
    def finished(self) -> bool:
        """Whether `Closed` has been given, or lies at or before the cursor."""
        closed = self._facts.closed
        return self._ended or (closed is not None and self.cursor >= closed.seq)

    @property
    def ready(self) -> bool:
        """Whether `pop` has an event."""
        following = self.cursor + 1
        exited, closed = self._facts.exited, self._facts.closed
        return not self._ended and (
            following in self._held
            or following in self._lost
            or (exited is not None and exited.seq == following)
            or (closed is not None and closed.seq == following)
        )

    @property
    def incomplete(self) -> bool:
        """Whether something is known to exist behind the cursor and is not here: a read would find it."""
        return not self.finished and not self.ready and max(self._facts.highest, self.refused) > self.cursor

    @property
    def pressing(self) -> bool:
        """Whether what is missing was refused, or has gone before this subscription began: no push will bring it."""
        return self.refused > self.cursor

    @property
    def half_full(self) -> bool:
        """Whether its consumer is behind."""
        return 2 * self._held_bytes >= self.limit

    @property
    def room(self) -> int:
        """How many bytes of output still fit."""
        return max(0, self.limit - self._held_bytes - self._reserved)

    def reserve(self, most: int = 1 << 62) -> int:
        """Keep room for a page that is to be read, and return how large that page may be.

        ``most``, and half of the whole at most: the pushes that come during the read find room in the other half, and
        follow the page without another read.
        """
        self._reserved = max(1, min(self.limit // 2, self.room, most))
        return self._reserved

    def release(self) -> None:
        """Give up what `reserve` kept."""
        self._reserved = 0

    def wants(self, seq: int, size: int) -> bool:
        """Whether a push of ``size`` bytes is news that fits. What does not fit will be read back."""
        if not self._news(seq):
            return False
        if seq == self.cursor + 1 or size + EVENT_BYTES <= self.room or seq < self._top:
            return True
        self.refused = max(self.refused, seq)
        return False

    def push(self, event: Output) -> None:
        """Hold an output that `wants` took."""
        self._hold(event)
        self._trim()

    def add_page(self, page: TextPage, after_seq: int) -> bool:
        """Take the answer to a read behind ``after_seq``; return whether it brought anything on."""
        before = (self.cursor, len(self._held), self.ready, self.finished)
        for chunk in page.chunks:
            if self._news(chunk.seq):
                self._hold(Output(chunk.seq, chunk.stream, decode_text(chunk.chunk)))
        reach = max(page.next_seq - 1, page.chunks[-1].seq if page.chunks else 0)
        start = max(self.cursor, after_seq)
        self._facts.note_page(page, list(self._missing(start, reach)))
        if page.closed and self._facts.closed is None:
            self.refused = max(self.refused, reach + 1)  # cut short: more is there, and no push may bring it
        self._lose(start, min(reach, self._last_of_output()), page.dropped_bytes, page.oldest_seq)
        self._trim()
        return before != (self.cursor, len(self._held), self.ready, self.finished)

    def lose_rest(self) -> bool:
        """Take what is missing for lost: the server has forgotten the process. False if the end is not known."""
        if self._facts.closed is None:
            return False
        self._lose(self.cursor, self._facts.closed.seq - 1, None, None)
        return True

    def pop(self) -> Event:
        """Give the next event. Call it when `ready`."""
        following = self.cursor + 1
        exited, closed = self._facts.exited, self._facts.closed
        if (output := self._held.pop(following, None)) is not None:
            self.cursor = following
            self._held_bytes -= len(output.data) + EVENT_BYTES
            self._passed_bytes += len(output.data)
            return output
        if (lost := self._lost.pop(following, None)) is not None:
            self.cursor = lost.last_seq
            self._lossy = True
            self._passed_bytes += lost.dropped_bytes or 0
            return lost
        if exited is not None and exited.seq == following:
            self.cursor = following
            self._exit_given = True
            return exited
        assert closed is not None
        if (late := self._unplaced_exit()) is not None:
            return late
        self.cursor = following
        self._ended = True
        return closed

    def _unplaced_exit(self) -> Exited | None:
        """Give the exit whose number fell among the lost, so that the end is never without it."""
        if self._exit_given:
            return None
        self._exit_given = True
        exited = self._facts.exited
        if exited is not None:
            return exited if exited.seq > self._after else None
        if self._facts.exit_code is None or not self._lossy:  # it was at or before `after_seq`
            return None
        return Exited(self.cursor, self._facts.exit_code)

    def _news(self, seq: int) -> bool:
        if seq <= self.cursor or seq in self._held or self._ended:
            return False
        # What a page has shown to be gone stays lost, though a push of it should still come.
        return not any(lost.first_seq <= seq <= lost.last_seq for lost in self._lost.values())

    def _hold(self, event: Output) -> None:
        self._held[event.seq] = event
        self._top = max(self._top, event.seq)
        self._held_bytes += len(event.data) + EVENT_BYTES

    def _trim(self) -> None:
        """Refuse the highest numbers until the rest fits; what comes next stays, however large."""
        while self._held_bytes > self.limit and len(self._held) > 1:
            highest = max(self._held)
            self._held_bytes -= len(self._held.pop(highest).data) + EVENT_BYTES
            self.refused = max(self.refused, highest)
            self._top = highest - 1

    def _last_of_output(self) -> int:
        closed = self._facts.closed
        return closed.seq - 1 if closed is not None else 1 << 62

    def _missing(self, start: int, reach: int) -> Iterator[tuple[int, int]]:
        """Give the ranges in ``start + 1 .. reach`` that are nobody's."""
        spans = [(seq, seq) for seq in self._held]
        ends: tuple[Exited | Closed | None, ...] = (self._facts.exited, self._facts.closed)
        spans += [(end.seq, end.seq) for end in ends if end is not None]
        spans += [(lost.first_seq, lost.last_seq) for lost in self._lost.values()]
        expected = start + 1
        for first, last in sorted(spans):
            if first > reach:
                break
            if first > expected:
                yield expected, first - 1
            expected = max(expected, last + 1)
        if expected <= reach:
            yield expected, reach

    def _lose(self, start: int, reach: int, dropped_bytes: int | None, oldest_seq: int | None) -> None:
        """Mark what is missing as lost. The bytes go to the first range: the server tells only their sum.

        What is further on has no number of its own, and 0 would say that nothing was lost there.
        """
        ranges = list(self._missing(start, reach))
        dropped = None
        if dropped_bytes is not None and self._after == 0 and oldest_seq is not None:
            held = sum(len(output.data) for seq, output in self._held.items() if seq < oldest_seq)
            waiting = sum(lost.dropped_bytes or 0 for lost in self._lost.values())
            dropped = max(0, dropped_bytes - self._passed_bytes - held - waiting)
        for first, last in ranges:
            self._lost[first] = Lost(first, last, dropped)
            dropped = None
