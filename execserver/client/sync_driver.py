"""How a thread waits for the client's core, whatever the wire."""

import threading
import time
from typing import TypeVar

from execserver.client.core import ClientCore
from execserver.client.source import Source

T = TypeVar("T")


class SyncDriver:
    """The `Driver` of programs without an event loop, without a wire."""

    def __init__(self, core: ClientCore) -> None:
        self.core = core
        self.lock = threading.RLock()

    def wait(self, source: Source[T], seconds: float | None = None) -> T:
        """Wait for ``source``; the lock is given up meanwhile."""
        deadline = None if seconds is None else time.monotonic() + seconds
        with self.lock:
            try:
                while not source.advance():
                    patience = source.patience
                    if deadline is not None:
                        left = deadline - time.monotonic()
                        if left <= 0:
                            raise TimeoutError
                        patience = left if patience is None else min(left, patience)
                    woken = threading.Condition(self.lock)
                    with self.core.parking.park(source, woken.notify):
                        # Not more than a lock takes: infinity is a patience, too.
                        expired = not woken.wait(None if patience is None else min(patience, threading.TIMEOUT_MAX))
                    if expired:
                        source.expire()
                return source.take()
            except BaseException:
                source.cancel()
                raise

    def clock(self) -> float:
        """Give the time in seconds."""
        return time.monotonic()
