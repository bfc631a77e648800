"""When to read no further for a moment: a consumer is behind, and nobody else is in a hurry. No I/O, no clock.

A subscription that is full refuses pushes and reads them back, which loses what the server has evicted meanwhile. A
consumer that is only a little slower than the server should not come to that. So after each read the adapter waits for
a `Pause`:

1. It is over at once unless a subscription is half full that has an event for its consumer. One that itself waits for
   what is still on the wire must not be waited for.
2. It is over as soon as anybody waits for an answer, or for room: a consumer never disturbs calls in flight. (Between
   threads it lasts `HAND_OVER_SECONDS` even then.) The reads of followers are no such calls: nobody asked for them.
3. Others who follow pushes take turns with who is behind: it lasts `TURN_SECONDS`, and there is one for each read.
4. Else it lasts until the consumer has taken enough.
5. One that has taken nothing for `STALL_SECONDS` of pauses is not waited for again until it takes something, so that a
   forgotten one stops nothing. With ``lossless`` it is waited for without end; what 1 to 3 say holds all the same.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from execserver.client.source import Source

if TYPE_CHECKING:
    from execserver.client.core import ClientCore
    from execserver.client.subscription import Subscription

STALL_SECONDS = 0.05
TURN_SECONDS = 0.01  # what who follows along does not notice, and enough to take the events of a whole read
HAND_OVER_SECONDS = 0.005  # between threads: one that was woken needs the interpreter's lock to take anything
JUST_NOW = -1.0  # in the place of the seconds: it has taken something since the last look


class Laggards:
    """The subscriptions that are half full, and for how long the reader has waited for each in vain."""

    def __init__(self, *, lossless: bool = False) -> None:
        self.lossless = lossless
        self.pause: Pause | None = None
        self._waited: WeakKeyDictionary[Subscription, float] = WeakKeyDictionary()

    def __bool__(self) -> bool:
        """Whether to wait for any of them."""
        return any(True for _ in self._waited_for())

    def __contains__(self, source: object) -> bool:
        """Whether to wait for this one."""
        return any(source is subscription for subscription in self._waited_for())

    def _waited_for(self) -> "Iterator[Subscription]":
        """Give those whose consumers are still at it, and have something to take."""
        most = math.inf if self.lossless else STALL_SECONDS
        return (one for one, waited in self._waited.items() if waited < most and one.ready)

    def add(self, subscription: "Subscription") -> None:
        """Note that it is half full."""
        self._waited.setdefault(subscription, 0.0)

    def took(self, subscription: "Subscription", *, behind: bool) -> None:
        """Note that its consumer took an event."""
        if subscription not in self._waited:
            return
        self._waited[subscription] = JUST_NOW
        if not behind:
            del self._waited[subscription]
            self.stir()

    def endured(self, seconds: float) -> None:
        """Note that the reader has waited for them."""
        for subscription in list(self._waited_for()):
            waited = self._waited[subscription]
            self._waited[subscription] = 0.0 if waited == JUST_NOW else waited + seconds

    def parked(self, source: Source[Any]) -> None:
        """Note that somebody begins to wait."""
        if self.pause is not None and self.pause.is_shortened_by(source):
            self.stir()

    def stir(self) -> None:
        """Look again: perhaps the pause is over."""
        if self.pause is not None:
            self.pause.wake()


class Pause(Source[None]):
    """One wait between two reads. ``threads`` says that the consumers are in other threads than the reader."""

    takes_turns = True

    def __init__(self, core: "ClientCore", *, threads: bool = False) -> None:
        self._core = core
        self._urgent_seconds = HAND_OVER_SECONDS if threads else 0.0
        self._seconds = STALL_SECONDS  # only ever shortened: who comes and goes must not prolong it without end
        self._over = False
        core.laggards.pause = self

    @property
    def patience(self) -> float | None:
        """How long to wait before asking again."""
        return self._seconds

    def advance(self) -> bool:
        """Whether to read on."""
        core = self._core
        if self._over or core.disconnected is not None or not core.laggards:
            return True
        self._seconds = min(self._seconds, self._allowed())
        return self._seconds == 0

    def expire(self) -> None:
        """See whether anybody took anything; with others there it is their turn in any case."""
        self._core.laggards.endured(self._seconds)
        self._over = self._seconds < STALL_SECONDS

    def take(self) -> None:
        """Read on."""
        self._core.laggards.pause = None

    def is_shortened_by(self, newcomer: Source[Any]) -> bool:
        """Whether it is different for this one's beginning to wait."""
        if newcomer is self:  # its own waiting must not wake it
            return False
        return not newcomer.takes_turns or self._seconds > TURN_SECONDS or not self._core.laggards

    def _allowed(self) -> float:
        """How long it may be, for those who wait now."""
        if self._core.answers_awaited or not all(source.takes_turns for source in self._core.parking):
            return self._urgent_seconds
        served = self._core.laggards
        return TURN_SECONDS if any(s is not self and s not in served for s in self._core.parking) else STALL_SECONDS
