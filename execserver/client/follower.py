"""What subscriptions and waits share: they read back what pushes did not bring. No I/O, no clock.

One read in flight at a time: at once what was refused, after a moment what may only be late, and after a silence the
question whether there is something that nobody told (a lost push of the last events has no successor to betray it).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakMethod

from execserver.client.calls import Call
from execserver.client.errors import RpcError
from execserver.client.facts import Facts
from execserver.client.inbound import Other, TextPage
from execserver.client.source import Source
from execserver.wire.errors import SERVER_ERROR

if TYPE_CHECKING:
    from execserver.client.core import ClientCore

T = TypeVar("T")

IDLE_SECONDS = 0.5  # of silence, before the first question whether something was lost; doubled up to
LONGEST_IDLE_SECONDS = 8.0
PROMPT_SECONDS = 0.02  # before the next question, when the last one brought something
FRUITLESS_SECONDS = 0.1  # before the next read, when one was refused ("server busy") or brought nothing
LONG_POLL_SECONDS = 20.0
MOST_LONG_POLLS = 16  # of a connection: each is one of the server's requests in flight (256 by default)
MOST_ABANDONED = 48  # more, of followers that are gone: no request takes a long poll back


class _Read(Call[TextPage]):
    """A ``process/read`` whose answer goes to a follower, if that still lives."""

    background = True

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

    takes_turns = True

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
        wait = wait and self._may_poll
        params = {"processId": self._facts.process_id, "afterSeq": after_seq, "maxBytes": max_bytes}
        if wait:
            params["waitMs"] = round(LONG_POLL_SECONDS * 1000)
            self._core.pollers.add(self)
        self._core.send(
            "process/read", params, lambda request_id: _Read(self._core, request_id, self._answered, wait=wait)
        )

    @property
    def _may_poll(self) -> bool:
        """Whether the connection has a long poll left. What is collected with one in flight gives its own back."""
        core = self._core
        return len(core.pollers) < MOST_LONG_POLLS and core.long_polls < MOST_LONG_POLLS + MOST_ABANDONED

    def _answered(self, outcome: TextPage | RpcError) -> None:
        self._reading = False
        self._core.pollers.discard(self)
        if isinstance(outcome, TextPage):
            progress = self._take_page(outcome)
            self._fruitless = not progress and self._hungry
            # What had to be asked for may have been followed by more that nobody told.
            self._idle = PROMPT_SECONDS if progress else min(max(2 * self._idle, IDLE_SECONDS), LONGEST_IDLE_SECONDS)
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
