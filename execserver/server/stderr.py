"""The daemon's log: one line a record on stderr, which never waits for whoever should read it.

A pipe that nobody reads fills, and a blocking write to it would stop every process of the session. So a record that
does not fit is dropped and counted; the next one that fits says how many were lost.
"""

import logging
import os
import select

_STDERR = 2  # not `sys.stderr`, which is None where it was closed at the start


class StderrHandler(logging.Handler):
    """Writes records to a descriptor, dropping what would block."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record if there is room: a pipe that is writable takes PIPE_BUF bytes without blocking."""
        if not any(events & select.POLLOUT for _, events in self._poll.poll(0)):
            self._dropped += 1
            return
        note = f"[{self._dropped} records dropped] " if self._dropped else ""
        self._dropped = 0
        line = f"{note}{self.format(record)}".encode(errors="replace")
        try:
            os.write(self._fd, line[: select.PIPE_BUF - 1] + b"\n")
        except OSError:  # nobody is there any more
            self._dropped += 1


def log_to_stderr(level: str) -> None:
    """Send the log of the whole process to stderr, from ``level`` up."""
    handler = StderrHandler(_STDERR)
    handler.setFormatter(logging.Formatter("execserver: %(levelname)s: %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
