"""What a method is to the server: how its params decode, and who handles them."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from execserver.wire.base import Message

Handler = Callable[[Any], Awaitable[Message]]


class Method(NamedTuple):
    """``handle`` gets an instance of ``params``; it raises `Fault` to answer with an error."""

    params: type[Message]
    handle: Handler
