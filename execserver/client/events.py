"""What happens to a process, in order: `Output`, `Lost`, `Exited`, `Closed`. No I/O.

Events are frozen and match by position. A member that the server did not send is None. ``seq`` counts from 1
over all events of one process; `Closed` has the highest.
"""

import codecs
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Self, overload

from msgspec import Struct

from execserver.wire.process import Stream


class Usage(Struct, frozen=True, gc=False):
    """CPU time of the child and of the descendants it waited for, in seconds."""

    user: float
    system: float


class Output(Struct, frozen=True, gc=False):
    """One chunk of ``stdout``, ``stderr`` or ``pty``, as the server read it."""

    seq: int
    stream: Stream
    data: bytes


class Lost(Struct, frozen=True, gc=False):
    """Output that the server no longer has, ``first_seq`` to ``last_seq`` inclusive, in its place.

    ``dropped_bytes`` is None where the server does not say, or where the subscription began in the middle. A server
    tells only a sum: when a read finds several losses, the first has the bytes of them all, and the others None.
    """

    first_seq: int
    last_seq: int
    dropped_bytes: int | None = None

    @property
    def seq(self) -> int:
        """The cursor behind the loss."""
        return self.last_seq


class Exited(Struct, frozen=True, gc=False):
    """The child has ended.

    ``exit_code`` is 128+N for death by signal N, whose name is ``signal``. ``reason`` is one of ``exit``, ``signal``,
    ``timeout``, ``idleTimeout``, ``terminated``, ``shutdown``. ``duration`` is in seconds.
    """

    seq: int
    exit_code: int
    signal: str | None = None
    reason: str | None = None
    duration: float | None = None
    usage: Usage | None = None


class Closed(Struct, frozen=True, gc=False):
    """Every stream has ended and nothing follows. The bytes of a terminal count as stdout.

    ``reason`` is ``endOfFile``, or ``drainTimeout`` when something else still holds a stream.
    """

    seq: int
    reason: str | None = None
    stdout_bytes: int | None = None
    stderr_bytes: int | None = None


Event = Output | Lost | Exited | Closed


class Text(Struct, frozen=True, gc=False):
    """What `decode` makes of an `Output`. ``seq`` is that of the chunk that completed the text."""

    seq: int
    stream: Stream
    text: str


@overload
def decode(
    events: AsyncIterable[Event], encoding: str = ..., errors: str = ...
) -> AsyncIterator[Text | Lost | Exited | Closed]: ...
@overload
def decode(
    events: Iterable[Event], encoding: str = ..., errors: str = ...
) -> Iterator[Text | Lost | Exited | Closed]: ...
def decode(
    events: AsyncIterable[Event] | Iterable[Event], encoding: str = "utf-8", errors: str = "replace"
) -> AsyncIterator[Text | Lost | Exited | Closed] | Iterator[Text | Lost | Exited | Closed]:
    """Iterate over ``events``, asynchronous or not, with every `Output` turned into `Text`.

    One incremental decoder a stream, so that no multi-byte character is cut: its first bytes wait for the rest. What
    a loss or the end cuts short comes out as ``errors`` says, before the event that cut it. All other events pass.
    """
    decoder = _Decoder(encoding, errors)
    if isinstance(events, AsyncIterable):
        return _AsyncTexts(aiter(events), decoder)
    return (text for event in events for text in decoder.feed(event))


class _Decoder:
    def __init__(self, encoding: str, errors: str) -> None:
        self._new = codecs.getincrementaldecoder(encoding)
        self._errors = errors
        self._decoders: dict[Stream, codecs.IncrementalDecoder] = {}

    def feed(self, event: Event) -> Iterator[Text | Lost | Exited | Closed]:
        if isinstance(event, Output):
            decoder = self._decoders.get(event.stream)
            if decoder is None:
                decoder = self._decoders[event.stream] = self._new(self._errors)
            if text := decoder.decode(event.data):
                yield Text(event.seq, event.stream, text)
            return
        if not isinstance(event, Exited):  # after it the rest of the character may still come
            for stream, decoder in self._decoders.items():
                if text := decoder.decode(b"", final=True):
                    yield Text(event.seq, stream, text)
                decoder.reset()
        yield event


class _AsyncTexts:
    """A class and not a generator: breaking out of the loop must leave nothing for an event loop to finalize."""

    def __init__(self, events: AsyncIterator[Event], decoder: _Decoder) -> None:
        self._events = events
        self._decoder = decoder
        self._ready: deque[Text | Lost | Exited | Closed] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Text | Lost | Exited | Closed:
        while not self._ready:
            self._ready.extend(self._decoder.feed(await anext(self._events)))
        return self._ready.popleft()
