"""The numbered events of one process: the only place where a seq is made, and the only copy of the output.

Pushing is sending what an ``append_*`` has numbered, ``process/read`` is a cursor into the log, replay is a read
from 0, and a long poll is: wait past the cursor, then read. No I/O.

Evicted are whole chunks, oldest first, when a bound is passed; never exited and closed, which are fields here, and
never a chunk that is not yet on the wire (wire, section 4).
"""

from array import array
from bisect import bisect_right

from trio.lowlevel import ParkingLot

from execserver.wire.process import Chunk, ReadResult, Stream

RETAIN_CHUNKS = 16_384  # many tiny writes must not cost more memory than a few large ones
PAGE_BYTES = 1024 * 1024  # of a read that names no maxBytes

_STREAMS: tuple[Stream, ...] = ("stdout", "stderr", "pty")
_NUMBERS = {stream: number for number, stream in enumerate(_STREAMS)}


class EventLog:
    """What a process has said so far, by number."""

    __slots__ = (
        "_chunks",
        "_first",
        "_last_output_seq",
        "_max_bytes",
        "_readers",
        "_seqs",
        "_streams",
        "_unsent",
        "closed_seq",
        "dropped_bytes",
        "exit_code",
        "exit_seq",
        "next_seq",
        "retained_bytes",
        "stderr_bytes",
        "stdout_bytes",
    )

    def __init__(self, max_bytes: int) -> None:
        """``max_bytes`` of output are retained."""
        self._max_bytes = max_bytes
        # Three columns of one table, whose rows before `_first` are evicted: 50 bytes a chunk beside its content.
        self._seqs = array("Q")
        self._streams = bytearray()
        self._chunks: list[bytes | None] = []
        self._first = 0
        self._unsent: list[tuple[int, int]] = []  # seq, wire position: what may not be evicted yet. Short, mostly empty
        self._last_output_seq = 0
        self._readers: ParkingLot | None = None  # of the long polls
        self.next_seq = 1
        self.retained_bytes = 0
        self.dropped_bytes = 0
        self.stdout_bytes = 0  # a terminal's bytes count here
        self.stderr_bytes = 0
        self.exit_seq: int | None = None
        self.exit_code: int | None = None
        self.closed_seq: int | None = None

    def append_output(self, stream: Stream, data: bytes) -> int:
        """Number a chunk, keep it, wake the long polls. Never yields: the order of seqs is that of appends."""
        self._seqs.append(self.next_seq)
        self._last_output_seq = self.next_seq
        self._streams.append(_NUMBERS[stream])
        self._chunks.append(data)
        self.retained_bytes += len(data)
        if stream == "stderr":
            self.stderr_bytes += len(data)
        else:
            self.stdout_bytes += len(data)
        return self._number()

    def append_exited(self, exit_code: int) -> int:
        """Number the exit. Never yields, as above."""
        self.exit_seq = self.next_seq
        self.exit_code = exit_code
        return self._number()

    def append_closed(self) -> int:
        """Number the close: no number follows. Never yields, as above."""
        self.closed_seq = self.next_seq
        return self._number()

    def sent(self, seq: int, position: int, written: int) -> None:
        """Learn that the chunk ``seq`` ends at ``position`` of the wire, of which ``written`` bytes are out."""
        if position > written:
            self._unsent.append((seq, position))
        self.trim(written)

    def trim(self, written: int) -> None:
        """Evict what passes the bounds, as far as it is among the ``written`` bytes of the wire."""
        while self._unsent and self._unsent[0][1] <= written:
            del self._unsent[0]
        keep_from = self._unsent[0][0] if self._unsent else self.next_seq
        first, seqs, chunks = self._first, self._seqs, self._chunks
        while (self.retained_bytes > self._max_bytes or len(seqs) - first > RETAIN_CHUNKS) and seqs[first] < keep_from:
            size = len(chunks[first] or b"")
            chunks[first] = None
            self.retained_bytes -= size
            self.dropped_bytes += size
            first += 1
        self._first = first
        if first > 1024 and first * 2 > len(seqs):  # seldom enough to cost nothing a chunk
            del seqs[:first], chunks[:first], self._streams[:first]
            self._first = 0

    @property
    def oldest_seq(self) -> int:
        """The lowest number still held: a chunk, the exit or the close; else the next number."""
        numbers = [number for number in (self.exit_seq, self.closed_seq) if number is not None]
        if self._first < len(self._seqs):
            numbers.append(self._seqs[self._first])
        return min(numbers, default=self.next_seq)

    def has_news(self, after_seq: int) -> bool:
        """Whether a read after ``after_seq`` answers at once: output, an exit it has not passed, or the close."""
        return (
            self.closed_seq is not None
            or (self.exit_seq is not None and self.exit_seq > after_seq)
            or self._last_output_seq > after_seq  # evicted or not: who has missed it must hear of that
        )

    def read(self, after_seq: int, max_bytes: int = PAGE_BYTES) -> ReadResult:
        """The page after ``after_seq``: whole chunks, at least one if there is one, then up to ``max_bytes``."""
        seqs = self._seqs
        start = bisect_right(seqs, after_seq, self._first)
        page: list[Chunk] = []
        room = max_bytes
        next_seq = self.next_seq
        for row in range(start, len(seqs)):
            data = self._chunks[row]
            assert data is not None  # only rows before _first are evicted
            room -= len(data)
            if room < 0 and page:
                next_seq = page[-1].seq + 1
                break
            page.append(Chunk(seqs[row], _STREAMS[self._streams[row]], data))
        return ReadResult(
            chunks=page,
            next_seq=next_seq,
            exited=self.exit_seq is not None,
            exit_code=self.exit_code,
            closed=self.closed_seq is not None,
            oldest_seq=self.oldest_seq,
            exit_seq=self.exit_seq,
            closed_seq=self.closed_seq,
            dropped_bytes=self.dropped_bytes,
        )

    async def wait_for_append(self) -> None:
        """Return after the next append."""
        if self._readers is None:
            self._readers = ParkingLot()
        await self._readers.park()

    def _number(self) -> int:
        seq = self.next_seq
        self.next_seq = seq + 1
        if self._readers:
            self._readers.unpark_all()
        return seq
