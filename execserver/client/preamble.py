"""What a command says before it speaks the protocol: a login banner, or why it cannot. No I/O."""

PREAMBLE_BYTES = 64 << 10
FIRST_BYTES = 1 << 20  # the longest first message; what never ends its line is not waited for beyond that
SHOWN_BYTES = 2000  # of it in an error: the end says most


class Preamble:
    """Skips lines, within a limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._skipped = 0
        self._fed = 0
        self._tail = b""

    def skip(self, line: bytes) -> bool:
        """Take a line that is no message; return whether it was within the limit."""
        self._skipped += len(line) + 1
        self._tail = (self._tail + line + b"\n")[-SHOWN_BYTES:]
        return self._skipped <= self._limit

    def bear(self, size: int) -> bool:
        """Take it that ``size`` bytes came, in lines or not; return whether a message may still follow."""
        self._fed += size
        return self._fed <= self._limit + FIRST_BYTES

    def describe(self, unfinished: bytes) -> str:
        """Say what was skipped, for an error, and what stands ``unfinished`` behind it: a prompt has no LF."""
        said = (self._tail + unfinished)[-SHOWN_BYTES:].decode(errors="replace").strip()
        return f"; it said {said!r}" if said else ""
