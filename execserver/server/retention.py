"""Closed processes, kept so that their output can be read again: for a time, and within one bound for all of them.

One timer for them all, which runs only while something is kept. No I/O.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

import trio

RETAIN_ALL_BYTES: Final = 256 * 1024 * 1024
RECORD_BYTES: Final = 2 * 1024  # what a process without output is charged: its objects, measured at 1.2 KiB


class _Kept(NamedTuple):
    expires_at: float
    size: int


class Retention:
    """The order in which closed processes are forgotten: the oldest first."""

    def __init__(self, seconds: float, forget: Callable[[str], None]) -> None:
        """``forget`` frees an id."""
        self._seconds = seconds
        self._forget = forget
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._size = 0
        self._added = trio.Event()

    def keep(self, process_id: str, size: int) -> None:
        """Keep a process of ``size`` bytes that has closed just now; forget what no longer fits."""
        kept = _Kept(trio.current_time() + self._seconds, size + RECORD_BYTES)
        self._kept[process_id] = kept
        self._size += kept.size
        while self._size > RETAIN_ALL_BYTES and len(self._kept) > 1:
            self.release(next(iter(self._kept)))
        if len(self._kept) == 1:  # `run` waits for it only while nothing is kept
            self._added.set()

    def release(self, process_id: str) -> bool:
        """Forget a kept process now; False where it is not kept."""
        kept = self._kept.pop(process_id, None)
        if kept is None:
            return False
        self._size -= kept.size
        self._forget(process_id)
        return True

    async def run(self) -> None:
        """Forget each process when its time is over. Never returns."""
        while True:
            while not self._kept:
                self._added = trio.Event()
                await self._added.wait()
            process_id, kept = next(iter(self._kept.items()))
            await trio.sleep_until(kept.expires_at)
            if self._kept.get(process_id) is kept:
                self.release(process_id)
