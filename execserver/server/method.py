"""What a method is to the server: how its params decode, and who handles them."""

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from execserver.wire.base import Message

Handler = Callable[[Any], Coroutine[Any, Any, Message]]


class Method(NamedTuple):
    """``handle`` gets an instance of ``params``, and raises `Fault` to answer with an error. `eager` steps it."""

    params: type[Message]
    handle: Handler
