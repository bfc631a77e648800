"""Requests in flight. No I/O."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from msgspec import UNSET

from execserver.client.errors import RpcError
from execserver.client.inbound import Other
from execserver.client.source import Source
from execserver.wire.envelope import ErrorObject

if TYPE_CHECKING:
    from execserver.client.core import ClientCore

T = TypeVar("T")


class Call(Source[T], Generic[T]):
    """One request in flight. The result is decoded as ``result``; ``then`` makes of it what `take` gives."""

    def __init__(
        self,
        core: "ClientCore",
        request_id: int,
        result: Any = Any,
        then: Callable[[Any], T] = lambda value: value,
        error: type[RpcError] = RpcError,
    ) -> None:
        self._core = core
        self._id = request_id
        self._result = result
        self._then = then
        self._refusal = error
        self._value: T
        self._error: RpcError | None = None
        self._answered = False

    size = 0  # of its line, in bytes
    background = False  # whether nobody asked for it: a follower that makes sure that it has all

    def advance(self) -> bool:
        """Whether the answer is there, or will never be."""
        return self._answered or self._core.disconnected is not None

    def take(self) -> T:
        """Give the result; `RpcError` if the server refused."""
        if not self._answered:
            raise self._core.disconnection()
        if self._error is not None:
            raise self._error
        return self._value

    def cancel(self) -> None:
        """Ignore the answer."""
        self._core.forget(self._id)

    def settle(self, answer: Other) -> None:
        """Take the answer."""
        if answer.error is not UNSET and answer.error is not None:
            self._error = self._refusal(answer.error.code, answer.error.message, *_kind_and_data(answer.error))
        else:
            assert answer.result is not UNSET
            self._value = self._then(msgspec.json.decode(answer.result, type=self._result))
        self._answered = True
        self.wake()


def _kind_and_data(error: ErrorObject) -> tuple[str | None, Any]:
    data = None if error.data is UNSET else error.data
    kind = data.get("kind") if isinstance(data, dict) else None
    return (kind if isinstance(kind, str) else None), data


class Room(Source[None]):
    """Wait until little enough is left to be sent."""

    def __init__(self, core: "ClientCore") -> None:
        self._core = core

    def advance(self) -> bool:
        """Whether there is room, or no connection."""
        return not self._core.crowded or self._core.disconnected is not None

    def take(self) -> None:
        """Nothing: the call that follows says whether the connection lives."""
