"""Subscriptions to the events of one process, and waits for its end. No I/O, no clock.

Whoever misses something reads it back with ``process/read``, one read in flight at a time: at once what was refused,
after a moment what may only be late, and after a silence it asks whether there is something that nobody told (a lost
push of the last events has no successor to betray it).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakMethod

from execserver.client.buffer import LIMIT_BYTES, EventBuffer
from execserver.client.calls import Call
from execserver.client.errors import RpcError
from execserver.client.events import Closed, Event, Exited, Output
from execserver.client.facts import Facts
from execserver.client.inbound import Other, TextPage
from execserver.client.source import Finished, Source
from execserver.wire.errors import SERVER_ERROR

if TYPE_CHECKING:
    from execserver.client.core import ClientCore

T = TypeVar("T")

REORDER_SECONDS = 0.02  # how long what is missing may just be late, with a server that does not send in order
IDLE_SECONDS = 0.5  # of silence, before the first question whether something was lost; doubled up to
LONGEST_IDLE_SECONDS = 8.0
FRUITLESS_SECONDS = 0.1  # before the next read, when one was refused ("server busy") or brought nothing
LONG_POLL_SECONDS = 20.0
MOST_LONG_POLLS = 16  # of a connection: each is one of the server's requests in flight (256 by default)
UNKNOWN_PROCESS = "unknownProcess"


class _Read(Call[TextPage]):
    """A ``process/read`` whose answer goes to a follower, if that still lives."""

    def __init__(
        self, core: "ClientCore", request_id: int, done: Callable[["TextPage | RpcError"], None], *, wait: bool
    ) -> None:
        super().__init__(core, request_id, TextPage)
        self._done = WeakMethod(done)
        self._wait = wait
        core.long_polls += wait

    def settle(self, answer: Other) -> None:
        """Pass the answer on."""
        super().settle(answer)
        self._core.long_polls -= self._wait
        if (done := self._done()) is not None:
            done(self._value if self._error is None else self._error)


class Follower(Source[T], Generic[T]):
    """What a subscription and a watch share: one read in flight, and patience."""

    def __init__(self, core: "ClientCore", facts: Facts) -> None:
        self._core = core
        self._facts = facts
        self._reading = False
        self._read_after = 0
        self._fruitless = False
        self._idle = IDLE_SECONDS
        self._error: RpcError | None = None

    def stir(self) -> None:
        """Something was pushed."""
        self._idle = IDLE_SECONDS
        self.wake()

    @property
    def patience(self) -> float | None:
        """How long to wait before asking the server."""
        if self._reading:
            return None
        return FRUITLESS_SECONDS if self._fruitless else self._idle

    def _read(self, after_seq: int, max_bytes: int, *, wait: bool = False) -> None:
        self._reading, self._read_after = True, after_seq
        wait = wait and self._core.long_polls < MOST_LONG_POLLS
        params = {"processId": self._facts.process_id, "afterSeq": after_seq, "maxBytes": max_bytes}
        if wait:
            params["waitMs"] = round(LONG_POLL_SECONDS * 1000)
        self._core.send(
            "process/read", params, lambda request_id: _Read(self._core, request_id, self._answered, wait=wait)
        )

    def _answered(self, outcome: TextPage | RpcError) -> None:
        self._reading = False
        if isinstance(outcome, TextPage):
            progress = self._take_page(outcome)
            self._fruitless = not progress and self._hungry
            self._idle = IDLE_SECONDS if progress else min(2 * self._idle, LONGEST_IDLE_SECONDS)
        elif outcome.code == SERVER_ERROR:
            self._fruitless = True
        else:
            self._take_error(outcome)
        self.wake()

    @property
    def _hungry(self) -> bool:
        """Whether something is known to be missing."""
        raise NotImplementedError

    def _take_page(self, page: TextPage) -> bool:
        """Take an answer; return whether it brought anything on."""
        raise NotImplementedError

    def _take_error(self, error: RpcError) -> None:
        self._error = error


class Subscription(Follower[Event]):
    """One complete, ordered iteration over a process's events."""

    def __init__(self, core: "ClientCore", facts: Facts, after_seq: int = 0, limit: int = LIMIT_BYTES) -> None:
        super().__init__(core, facts)
        self._buffer = EventBuffer(facts, after_seq, limit)
        self._followed = False  # by a consumer that takes events: until then nobody is waited for
        self._buffer.refused = facts.highest  # what was pushed before will not be pushed again

    @property
    def last_seq(self) -> int:
        """The number of the last event that was given."""
        return self._buffer.cursor

    @property
    def finished(self) -> bool:
        """Whether `Closed` has been given."""
        return self._buffer.finished

    def begin(self, limit: int) -> None:
        """A consumer takes it over, with a bound of its own."""
        self._buffer.limit = limit
        self._followed = True

    def offer(self, seq: int, size: int, output: Callable[[], Output]) -> None:
        """Take a push if it is wanted; ``output`` decodes it."""
        if self._buffer.wants(seq, size):
            self._buffer.push(output())
            self.stir()
            if self._followed and self._buffer.half_full:
                self._core.laggards.add(self)

    @property
    def patience(self) -> float | None:
        """How long to wait before asking the server."""
        if not self._reading and not self._fruitless and self._buffer.incomplete and not self._core.features.listed:
            return REORDER_SECONDS
        return super().patience

    def advance(self) -> bool:
        """Whether there is an event, the end, or an error; reads back what will not come by itself."""
        buffer = self._buffer
        if buffer.ready or buffer.finished or self._error is not None or self._core.disconnected is not None:
            return True
        # Our own server sends in order: what is missing there has been lost, and is not just late.
        if (
            not self._reading
            and not self._fruitless
            and (buffer.pressing or (self._core.features.listed and buffer.incomplete))
        ):
            self._read(buffer.cursor, buffer.reserve())
        return False

    def expire(self) -> None:
        """Nothing came: ask."""
        if self._reading:
            return
        self._fruitless = False
        if self._buffer.incomplete:
            self._read(self._buffer.cursor, self._buffer.reserve())
        else:
            self._read(self._buffer.cursor, 1, wait=True)  # what comes is pushed as well: one chunk is enough

    def take(self) -> Event:
        """Give the next event. `Finished` after `Closed`; `Disconnected` after all that was received in order."""
        if self._buffer.ready:
            event = self._buffer.pop()
            if self._core.laggards:
                self._core.laggards.took(self, behind=self._buffer.half_full)
            return event
        if self._buffer.finished:
            raise Finished
        if self._error is not None:
            raise self._error
        raise self._core.disconnection(self.last_seq)

    @property
    def _hungry(self) -> bool:
        return self._buffer.incomplete

    def _take_page(self, page: TextPage) -> bool:
        self._buffer.release()
        return self._buffer.add_page(page, self._read_after)

    def _take_error(self, error: RpcError) -> None:
        self._buffer.release()
        if not self._buffer.lose_rest():
            self._error = error


class Watch(Follower[Exited]):
    """A wait for the exit, or for the close, that needs nobody to follow the output."""

    def __init__(self, core: "ClientCore", facts: Facts, *, closed: bool = False) -> None:
        super().__init__(core, facts)
        self._for_close = closed
        self._found: Exited | None = None  # from a page that does not say where the exit is
        self._found_closed = False

    def advance(self) -> bool:
        """Whether it has come."""
        return self._come is not None or self._error is not None or self._core.disconnected is not None

    def expire(self) -> None:
        """Nothing came: ask, for pushes can be lost."""
        if not self._reading:
            self._fruitless = False
            self._read(self._facts.highest, 1, wait=True)

    def take(self) -> Exited:
        """Give the exit."""
        if (come := self._come) is not None:
            return come
        if self._error is not None:
            raise self._error
        raise self._core.disconnection()

    @property
    def _come(self) -> Exited | None:
        if self._for_close and self._facts.closed is None and not self._found_closed:
            return None
        return self._facts.exited or self._found

    @property
    def _hungry(self) -> bool:
        return self._for_close and self._facts.closed is not None and self._come is None

    def _take_page(self, page: TextPage) -> bool:
        self._found_closed = page.closed
        if page.closed_seq is not None and self._facts.closed is None:
            self._facts.closed = Closed(page.closed_seq)
        if page.exited and page.exit_code is not None and self._facts.exited is None:
            if page.exit_seq is not None:
                self._facts.exited = Exited(page.exit_seq, page.exit_code)
            else:
                self._found = Exited(page.next_seq - 1 - page.closed, page.exit_code)
        self._facts.highest = max(self._facts.highest, page.next_seq - 1)
        return bool(page.chunks)
