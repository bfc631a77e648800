"""A FIFO that a command writes to when it runs, so that no test has to guess how long that takes."""

import os
import select
import time
from pathlib import Path

from .codex import RUN_SECONDS


class Beacon:
    """Commands say "up"; a test waits until enough of them have."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        # also for writing: else the end of one writer would be the end of file for the reader
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def wait(self, commands: int = 1) -> None:
        """Return when that many have said so."""
        deadline = time.monotonic() + RUN_SECONDS
        up = 0
        while up < commands:
            ready, _, _ = select.select([self._descriptor], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{up} of {commands} commands have begun"
            up += os.read(self._descriptor, 4096).count(b"up")

    def close(self) -> None:
        os.close(self._descriptor)
