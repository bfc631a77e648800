"""When to read no further for a moment: a consumer is behind, and nobody else waits. No I/O, no clock.

A subscription that is full refuses pushes and reads them back, which loses what the server has evicted meanwhile. A
consumer that is only a little slower than the server should not come to that. So after each read the adapter waits for
a `Pause`: it is over at once unless some subscription is half full; it is over as soon as anybody else waits for
anything, so that consumers never disturb each other or calls in flight; and a consumer that has taken nothing for
`STALL_SECONDS` is not waited for again until it takes something, so that a forgotten one stops nothing. With
``lossless`` it is waited for without end, as long as nobody else waits.
"""

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from execserver.client.source import Source

if TYPE_CHECKING:
    from execserver.client.core import ClientCore
    from execserver.client.subscription import Subscription

STALL_SECONDS = 0.05
HAND_OVER_SECONDS = 0.005  # between threads: one that was woken needs the interpreter's lock to take anything


class Laggards:
    """The subscriptions that are half full and whose consumers are still at it."""

    def __init__(self, *, lossless: bool = False) -> None:
        self.lossless = lossless
        self.pause: Pause | None = None
        self._behind: WeakSet[Subscription] = WeakSet()
        self._took = False

    def __bool__(self) -> bool:
        return bool(self._behind)

    def __contains__(self, source: object) -> bool:
        return source in self._behind

    def add(self, subscription: "Subscription") -> None:
        """Note that it is half full."""
        self._behind.add(subscription)

    def took(self, subscription: "Subscription", *, behind: bool) -> None:
        """Note that its consumer took an event."""
        self._took = True
        if not behind:
            self._behind.discard(subscription)
            self.stir()

    def parked(self, source: Source[Any]) -> None:
        """Note that somebody begins to wait."""
        if source is not self.pause:  # whose own waiting must not wake it
            self.stir()

    def stir(self) -> None:
        """Look again: perhaps the pause is over."""
        if self.pause is not None:
            self.pause.wake()

    def give_up(self) -> None:
        """Wait no longer for those who took nothing."""
        if not self._took and not self.lossless:
            self._behind.clear()
        self._took = False


class Pause(Source[None]):
    """One wait between two reads. ``threads`` says that the consumers are in other threads than the reader."""

    def __init__(self, core: "ClientCore", *, threads: bool = False) -> None:
        self._core = core
        self._threads = threads
        self._handed_over = False
        core.laggards.pause = self

    @property
    def patience(self) -> float | None:
        """How long to wait before asking again."""
        return HAND_OVER_SECONDS if self._threads and not self._alone else STALL_SECONDS

    def advance(self) -> bool:
        """Whether to read on."""
        core = self._core
        if not core.laggards or core.disconnected is not None:
            return True
        return not self._alone and (self._handed_over or not self._threads)

    def expire(self) -> None:
        """See whether anybody took anything."""
        if self._alone:
            self._core.laggards.give_up()
        else:
            self._handed_over = True

    def take(self) -> None:
        """Read on."""
        self._core.laggards.pause = None

    @property
    def _alone(self) -> bool:
        """Whether nobody waits but for what is here already."""
        return self._core.idle_but_for(self._is_served)

    def _is_served(self, source: Source[Any]) -> bool:
        return source is self or source in self._core.laggards
