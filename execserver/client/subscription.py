"""One complete, ordered iteration over the events of a process. No I/O, no clock."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from execserver.client.buffer import LIMIT_BYTES, EventBuffer
from execserver.client.errors import RpcError
from execserver.client.events import Event, Output
from execserver.client.facts import Facts
from execserver.client.follower import Follower
from execserver.client.inbound import TextPage
from execserver.client.source import Finished

if TYPE_CHECKING:
    from execserver.client.core import ClientCore

PROBE_BYTES = 64 << 10  # of a read after a silence: most often what comes then is pushed as well
REORDER_SECONDS = 0.02  # how long what is missing may just be late, with a server that does not send in order


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

    @property
    def ready(self) -> bool:
        """Whether its consumer could take an event."""
        return self._buffer.ready

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
            self._read(self._buffer.cursor, self._buffer.reserve(PROBE_BYTES), wait=True)

    def take(self) -> Event:
        """Give the next event. `Finished` after `Closed`; `Disconnected` after all that was received in order."""
        if self._buffer.ready:
            event = self._buffer.pop()
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
