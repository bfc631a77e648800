"""One process as a connection sees it: its pushes go to whoever follows it. No I/O.

The core holds a `Following` weakly, and a `Following` its followers: what nobody holds any more costs nothing, so that
breaking out of an iteration leaves nothing behind.
"""

from typing import TYPE_CHECKING, TypeVar
from weakref import ref

from execserver.client.buffer import LIMIT_BYTES
from execserver.client.events import Output
from execserver.client.facts import Facts
from execserver.client.inbound import ClosedPush, ExitedPush, LongOutput, OutputParams, Push
from execserver.client.subscription import Subscription
from execserver.client.watch import Watch
from execserver.wire.base64 import decode_text

if TYPE_CHECKING:
    from execserver.client.core import ClientCore

F = TypeVar("F", Subscription, Watch)

# Held for the first subscription: what a flood sends before the caller of `start` runs, the log may have evicted soon.
UNFOLLOWED_BYTES = 1 << 20


class Following:
    """The followers of one process."""

    def __init__(self, core: "ClientCore", process_id: str) -> None:
        self.facts = Facts(process_id)
        self._core = core
        self._subscriptions: list[ref[Subscription]] = []
        self._watches: list[ref[Watch]] = []
        # Registered before process/start is sent: other servers push output before they answer.
        self._first: Subscription | None = self._add(
            self._subscriptions, Subscription(core, self.facts, 0, UNFOLLOWED_BYTES)
        )
        core.follow(self)

    def subscribe(self, after_seq: int = 0, limit: int = LIMIT_BYTES) -> Subscription:
        """Begin a subscription to everything behind ``after_seq``."""
        first, self._first = self._first, None
        if after_seq == 0 and first is not None:
            first.begin(limit)
            return first
        subscription = self._add(self._subscriptions, Subscription(self._core, self.facts, after_seq, limit))
        subscription.begin(limit)
        return subscription

    def watch(self, *, closed: bool = False) -> Watch:
        """Wait for the exit, or for the close."""
        return self._add(self._watches, Watch(self._core, self.facts, closed=closed))

    def take(self, push: Push) -> None:
        """Take an event of this process."""
        if isinstance(push, ExitedPush):
            self.facts.note_exited(push.params)
            self._stir()
        elif isinstance(push, ClosedPush):
            self.facts.note_closed(push.params)
            self._stir()
        else:
            self._take_output(push.params)

    def _take_output(self, push: OutputParams | LongOutput) -> None:
        """Decode it once, and only if somebody has room for it."""
        self.facts.highest = max(self.facts.highest, push.seq)
        decoded: Output | None = None

        def output() -> Output:
            nonlocal decoded
            if decoded is None:
                decoded = Output(push.seq, push.stream, decode_text(push.chunk))
            return decoded

        for follower in tuple(self._subscriptions):  # one may be collected meanwhile
            if (subscription := follower()) is not None:
                subscription.offer(push.seq, len(push.chunk) * 3 // 4, output)

    def _stir(self) -> None:
        followers: list[ref[Subscription] | ref[Watch]] = [*self._subscriptions, *self._watches]
        for follower in followers:
            if (alive := follower()) is not None:
                alive.stir()

    @staticmethod
    def _add(followers: "list[ref[F]]", follower: F) -> F:
        followers.append(ref(follower, followers.remove))
        return follower
