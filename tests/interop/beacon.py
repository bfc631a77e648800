"""A FIFO that a command writes to when it runs, so that no test has to guess how long that takes."""

import os
import select
from pathlib import Path

from .codex import RUN_SECONDS


class Beacon:
    """One command and one wait."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def wait(self) -> None:
        ready, _, _ = select.select([self._descriptor], [], [], RUN_SECONDS)
        os.close(self._descriptor)
        assert ready, "the command never ran"
