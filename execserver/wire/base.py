"""What every message is made of: the Struct base and the number types. No I/O."""

from typing import Annotated

from msgspec import Meta, Struct

# Above 2^53 a JSON number is not exact in every client's language, and no deadline of ours needs it.
LARGEST = 2**53

Milliseconds = Annotated[int, Meta(ge=0, le=LARGEST)]
Count = Annotated[int, Meta(ge=0, le=LARGEST)]


class Message(Struct, rename="camel", frozen=True, gc=False):
    """A JSON object whose members are the camelCase names of the fields. Unknown members are tolerated."""


class Empty(Message, frozen=True):
    """An object without members that matter: the params or the result of a method that has none."""
