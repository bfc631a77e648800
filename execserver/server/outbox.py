"""Everything that leaves the server, in one queue: bounded by bytes, batched, fair.

Lines go out in the order of `post`. A post writes at once, without waiting, as long as the wire takes it (a thread
or a writer task would add a wake-up to every answer); only what the wire refuses waits for the writer task.

Lossless backpressure: `room` and `turn` hold the pumps back while more than a bound is queued, so the children's
pipes fill and the children wait in write(2). Answers do not wait here; the reader stops reading requests instead.

Fairness: a large chunk needs a turn, and there is one turn for each pass of the scheduler, first come first served.
So between two large chunks whoever is ready gets to run: an echo beside eight floods takes 0.3 ms, not 2.
"""

from collections import deque
from typing import Protocol

import trio
from trio.lowlevel import ParkingLot

# More queued than this and no pump reads on. One large chunk is 87 KiB on the wire: the wire never runs dry while a
# pump wakes up, and what is small waits behind one chunk at most.
BULK_BYTES = 64 * 1024
# For small chunks, which pass large ones that wait for their turn.
FULL_BYTES = 512 * 1024
NOTHING = memoryview(b"")


class Sink(Protocol):
    """Where the lines go: a descriptor that never blocks, or memory."""

    def write(self, data: bytes | memoryview) -> int:
        """Take what fits now, at least one byte; `BlockingIOError` for none, `OSError` when the reader has gone."""
        ...

    async def wait_writable(self) -> None:
        """Return when `write` may take something."""
        ...


class Outbox:
    """The queue before one `Sink`."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._queue: deque[bytes | bytearray] = deque()
        self._current = NOTHING
        self._corked = False
        self._refused = trio.Event()  # the sink took no more: work for the writer task
        self._drained: trio.Event | None = None  # where somebody waits for room
        self._turn_taken = False
        self._turns = ParkingLot()
        self.lost: OSError | None = None  # why nothing leaves any more: the reader of the wire has gone
        self.posted = 0  # bytes, ever
        self.written = 0

    @property
    def backlog(self) -> int:
        """Bytes posted and not yet written."""
        return self.posted - self.written

    @property
    def has_room(self) -> bool:
        """Whether `room` would not wait."""
        return self.posted - self.written < FULL_BYTES

    def post(self, line: bytes | bytearray) -> int:
        """Queue a line, write what can be written; return the position at which the line ends. Never yields."""
        self.posted += len(line)
        if self.lost is not None:
            self.written = self.posted
            return self.posted
        self._queue.append(line)
        if not self._corked and not self._refused.is_set():
            self.flush()
        return self.posted

    def cork(self) -> None:
        """Gather what is posted until `flush` or `uncork`: one write for the answers to one read."""
        self._corked = True

    def uncork(self) -> None:
        """Gather no more. What was gathered leaves with the next line that is posted, or by `flush`, which follows."""
        self._corked = False

    def flush(self) -> None:
        """Write what the sink takes now. Never yields."""
        self._corked = False
        while self._current or self._queue:
            if not self._current:
                self._current = memoryview(self._queue[0] if len(self._queue) == 1 else b"".join(self._queue))
                self._queue.clear()
            try:
                count = self._sink.write(self._current)
            except BlockingIOError:
                self._refused.set()
                return
            except OSError as error:
                self._lose(error)
                return
            # An empty slice of it would keep the whole, which may be a file of 100 MB, until the next write.
            self._current = self._current[count:] if count < len(self._current) else NOTHING
            self.written += count
            # Here and not in `run`: whoever empties the queue must wake who waits for room, and it may not be the task.
            if self._drained is not None and self.backlog < FULL_BYTES:
                self._drained.set()
                self._drained = None

    async def run(self) -> None:
        """Write what the sink refused, as it takes it. Returns when the reader of the wire has gone (`lost`)."""
        while True:
            await self._refused.wait()
            while self.backlog:
                await self._sink.wait_writable()
                self.flush()
            if self.lost is not None:
                return
            self._refused = trio.Event()

    async def room(self, limit: int = FULL_BYTES) -> None:
        """Wait until less than ``limit`` bytes are queued. A checkpoint only if it waits."""
        while self.backlog >= limit:
            if self._drained is None:
                self._drained = trio.Event()
            await self._drained.wait()

    async def turn(self) -> None:
        """Wait for the turn, and the room, to post one large chunk. `pass_turn` must follow, whatever happens."""
        waited = self._turn_taken
        if waited:
            await self._turns.park()
        self._turn_taken = True
        try:
            if not waited:
                await trio.lowlevel.checkpoint()
            await self.room(BULK_BYTES)
        except trio.Cancelled:
            self.pass_turn()
            raise

    def pass_turn(self) -> None:
        """Let the next in line have its turn, at the next pass of the scheduler."""
        if self._turns:
            self._turns.unpark()
        else:
            self._turn_taken = False

    def _lose(self, error: OSError) -> None:
        """Drop what can reach nobody, and let `run` and whoever waits for room go on to their end."""
        self.lost = error
        self._queue.clear()
        self._current = NOTHING
        self.written = self.posted
        self._refused.set()
        if self._drained is not None:
            self._drained.set()
