"""Bytes in, lines out, with a hard limit on the length of a line. No I/O: both sides feed it what they read.

A line ends with LF; a CR before it belongs to the ending. A line longer than the limit is discarded while it
arrives, so that it is never held whole, and is reported once, as `OVERSIZED` in its place.
"""

from typing import Final


class Oversized:
    """The type of `OVERSIZED`, which stands for a line that was too long."""

    def __repr__(self) -> str:
        return "OVERSIZED"


OVERSIZED: Final = Oversized()


_LONG_BYTES: Final = 4096  # of a line: from here on looking at each byte of it costs more than the call that does not


class LineSplitter:
    """Splits a stream of bytes into lines; see the module's rules."""

    def __init__(self, limit: int) -> None:
        """``limit`` is the longest line in bytes, its ending not counted."""
        self._limit = limit
        self._parts: list[bytes] = []  # the unfinished line; joined once, so a long line costs linear time
        self._held = 0
        self._discarding = False

    def feed(self, data: bytes | bytearray, size: int | None = None) -> list[bytes | Oversized]:
        """Take what arrived; return the lines that it ended, without their endings, blank ones too.

        ``size`` is for a buffer that is used again: so many bytes of it are new. Nothing of it is kept.
        """
        size = len(data) if size is None else size
        if 0 < size <= _LONG_BYTES and data.find(b"\n", 0, size) == size - 1:  # one line, as nearly always
            return [self._end(bytes(data[: size - 1]))]
        *ended, rest = _split(data, size)
        lines = [self._end(piece) for piece in ended]
        if rest:
            self._hold(rest)
        return lines

    @property
    def unfinished(self) -> bytes:
        """What came of the line that has not ended; empty while a line that is too long is discarded."""
        return b"".join(self._parts)

    def finish(self) -> list[bytes | Oversized]:
        """End of the stream: return the last line if it had no LF."""
        return [self._end(b"")] if self._held or self._discarding else []

    def _hold(self, piece: bytes) -> None:
        if self._discarding:
            return
        if self._held + len(piece) > self._limit + 1:  # one more: it may be the CR of the ending
            self._discarding = True
            self._parts.clear()
            self._held = 0
        else:
            self._parts.append(piece)
            self._held += len(piece)

    def _end(self, piece: bytes) -> bytes | Oversized:
        if self._held:
            self._hold(piece)
            piece = b"".join(self._parts)
        discarded, self._discarding = self._discarding, False
        self._parts.clear()
        self._held = 0
        if piece.endswith(b"\r"):
            piece = piece[:-1]
        return OVERSIZED if discarded or len(piece) > self._limit else piece


def _split(data: bytes | bytearray, size: int) -> list[bytes]:
    """Split at each LF. Long lines by memchr(3): `bytes.split` looks at each byte by itself."""
    view = memoryview(data)[:size]
    first = data.find(b"\n", 0, min(size, _LONG_BYTES))
    # The first may be the rest of a long one.
    if first >= 0 and data.find(b"\n", first + 1, min(size, first + _LONG_BYTES)) >= 0:
        return bytes(view).split(b"\n")
    pieces = []
    begin = 0
    while (end := data.find(b"\n", begin, size)) >= 0:
        pieces.append(bytes(view[begin:end]))
        begin = end + 1
    pieces.append(bytes(view[begin:]))
    return pieces
