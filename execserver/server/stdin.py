"""What is written to a child: one queue, in the order it was sent, each part accepted when the kernel has all of it.

A write that the pipe takes at once never waits. Otherwise it is queued, and a task of the process feeds the child as
it reads. The queue has a bound; what would pass it is refused whole.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

import trio

from execserver.server.child import Child
from execserver.wire.errors import INVALID_PARAMS, SERVER_ERROR, Fault
from execserver.wire.process import WriteStatus

BACKLOG_BYTES: Final = 64 * 1024 * 1024
REMEMBERED_WRITES: Final = 4096
NOTHING: Final = memoryview(b"")


class Delivery:
    """One write on its way. ``status`` is None until it is decided."""

    __slots__ = ("_waiting", "closing", "ended", "rest", "status")

    def __init__(self, data: bytes, closing: bool) -> None:
        self.rest = memoryview(data)
        self.closing = closing
        self.ended = False  # a terminal's end of file is in `rest`, or sent
        self.status: WriteStatus | None = None
        self._waiting: list[Callable[[], None]] | None = None

    @property
    def stands(self) -> bool:
        """Whether a repetition is this very write: it was not refused."""
        return self.status in (None, "accepted")

    def decide(self, status: WriteStatus) -> None:
        """Settle it, and call who waits."""
        self.status = status
        # Remembered by its writeId, it would keep its bytes: even an empty slice keeps the whole.
        self.rest = NOTHING
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            for call in waiting:
                call()

    def when_decided(self, call: Callable[[], None]) -> None:
        """Have ``call`` called when it is decided, which must be still to come."""
        if self._waiting is None:
            self._waiting = []
        self._waiting.append(call)


class _Remembered(NamedTuple):
    """A write that may be repeated, and the one that was repeated in order to close."""

    fingerprint: tuple[int, int]
    written: Delivery
    closed: Delivery | None = None


class Stdin:
    """The queue before one child's stdin."""

    __slots__ = ("_child", "_last", "_open", "_queue", "_remembered")

    def __init__(self, child: Child, *, is_open: bool) -> None:
        """``is_open`` is False where stdin is /dev/null."""
        self._child = child
        self._open = is_open
        self._queue: deque[Delivery] = deque()
        self._last = b""  # the last byte that went in: for a terminal, what its end of file would follow
        self._remembered: dict[str, _Remembered] = {}

    def write(self, data: bytes, write_id: str | None, closing: bool) -> Delivery:
        """Begin a write; what the kernel takes at once is decided at once. Never yields: order is that of calls.

        ``closing`` ends stdin behind the data. A repeated ``write_id`` is the write that it repeats.
        """
        if write_id is None:
            return self._begin(data, closing)
        fingerprint = (len(data), hash(data))  # 64 bits, keyed: enough to catch a mistake, and free
        known = self._remembered.get(write_id)
        if known is not None and known.written.stands:
            if known.fingerprint != fingerprint:
                problem = f"writeId {write_id} was used for other bytes"
                raise Fault(INVALID_PARAMS, problem, "writeIdConflict")
            if not closing or known.written.closing:
                return known.written
            if known.closed is None or not known.closed.stands:
                known = known._replace(closed=self._begin(b"", closing))
                self._remembered[write_id] = known
            assert known.closed is not None
            return known.closed
        delivery = self._begin(data, closing)
        self._remembered[write_id] = _Remembered(fingerprint, delivery)
        if len(self._remembered) > REMEMBERED_WRITES:
            del self._remembered[next(iter(self._remembered))]
        return delivery

    @property
    def has_backlog(self) -> bool:
        """Whether something waits for `feed`."""
        return bool(self._queue)

    async def feed(self) -> None:
        """Write what is queued, as the child takes it. Returns when nothing is queued any more."""
        while self._queue:
            try:
                await self._child.wait_writable()
            except trio.ClosedResourceError:  # `end` has closed it, and has decided what was queued
                return
            while self._queue and self._advance(self._queue[0]):
                if self._queue:  # `_advance` has emptied it where the child reads no more
                    self._queue.popleft()

    def end(self) -> None:
        """The child has ended or reads no more: whatever waits is `stdinClosed`."""
        self._open = False
        self._child.close_stdin()
        while self._queue:
            self._queue.popleft().decide("stdinClosed")

    def _begin(self, data: bytes, closing: bool) -> Delivery:
        waiting = sum(len(delivery.rest) for delivery in self._queue) if self._queue else 0
        if waiting + len(data) > BACKLOG_BYTES:
            problem = f"{waiting} bytes wait for a child that does not read; {len(data)} more are refused"
            raise Fault(SERVER_ERROR, problem, "stdinBacklog")
        delivery = Delivery(data, closing)
        if not self._open:
            delivery.decide("stdinClosed")
        elif self._queue or not self._advance(delivery):
            self._queue.append(delivery)
        return delivery

    def _advance(self, delivery: Delivery) -> bool:
        """Write what the kernel takes now; True once the delivery is decided."""
        try:
            self._write(delivery)
            if delivery.closing and self._child.tty and not delivery.ended:
                delivery.ended = True
                delivery.rest = memoryview(self._child.end_of_file(self._last))
                self._write(delivery)
        except BlockingIOError:
            return False
        except OSError:  # EPIPE, or EIO of a terminal: nobody reads any more
            self.end()
            delivery.decide("stdinClosed")
            return True
        if delivery.closing and not self._child.tty:  # a terminal lives on, and may be fed again
            self._open = False
            self._child.close_stdin()
        delivery.decide("accepted")
        return True

    def _write(self, delivery: Delivery) -> None:
        while rest := delivery.rest:
            count = self._child.write(rest)
            if self._child.tty:
                self._last = bytes(rest[count - 1 : count])
            delivery.rest = rest[count:] if count < len(rest) else NOTHING
