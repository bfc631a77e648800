"""What every message is made of: the Struct base and the number types. No I/O."""

from typing import Annotated

from msgspec import Meta, Struct

# However large: what other servers take ends at 2^64, and clients say "no limit" by the largest number they know.
Milliseconds = Annotated[int, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]

_FOREVER_MS = 2**53


def to_seconds(milliseconds: int) -> float:
    """Convert what was asked for, of which a float may not hold all."""
    return min(milliseconds, _FOREVER_MS) / 1000


class Message(Struct, rename="camel", frozen=True, gc=False):
    """A JSON object whose members are the camelCase names of the fields. Unknown members are tolerated."""


class Empty(Message, frozen=True):
    """An object without members that matter: the params or the result of a method that has none."""
