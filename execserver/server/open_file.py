"""One file opened under a handle. Blocking: its methods run in threads, one at a time."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from execserver.server.content import open_regular
from execserver.server.replacement import Replacement, write_at


class NotOpen(Exception):
    """The file was never opened, or is closed."""


class OpenFile:
    """A file open for reading, or the replacement of one. Whatever fails on it closes it.

    A replacement that is closed by a failure is thrown away, so that no half of a file takes the old one's place.
    """

    def __init__(self) -> None:
        self._fd = -1
        self._new: Replacement | None = None
        # A thread that nobody waits for any more (`Threads.run`) may still be using the descriptor, whose number
        # must not be given back under its hands.
        self._in_use = threading.Lock()
        self._abandoned = False

    def open(self, path: str, *, replace: bool) -> None:
        """Open to read, or begin a replacement."""
        with self._used(opening=True):
            if replace:
                self._new = Replacement(path)
                self._fd = self._new.fd
            else:
                self._fd = open_regular(path)

    def read(self, offset: int, length: int) -> bytes:
        """Read a block; a shorter one at the end of the file."""
        with self._used():
            block = os.pread(self._fd, length, offset)
            # The kernel answers less before the end too, for the files of /proc.
            while 0 < len(block) < length and (more := os.pread(self._fd, length - len(block), offset + len(block))):
                block += more
            return block

    def write(self, offset: int, block: bytes) -> None:
        """Write a block; a gap before it reads as zeros."""
        with self._used():
            write_at(self._fd, block, offset)

    def close(self) -> None:
        """Close it, if it is open; a replacement takes its place."""
        with suppress(NotOpen), self._used():
            new, self._new = self._new, None
            if new is not None:
                self._fd = -1
                new.commit()
            else:
                self._dispose()

    def abandon(self) -> None:
        """Close it as soon as nobody uses it; a replacement is thrown away."""
        self._abandoned = True  # before the lock is tried: who holds it looks after having let it go
        self._dispose_if_free()

    @contextmanager
    def _used(self, *, opening: bool = False) -> Iterator[None]:
        try:
            with self._in_use:
                if self._abandoned or (self._fd < 0 and not opening):
                    raise NotOpen
                try:
                    yield
                except BaseException:
                    self._dispose()
                    raise
        finally:
            if self._abandoned:
                self._dispose_if_free()

    def _dispose_if_free(self) -> None:
        if self._in_use.acquire(blocking=False):
            try:
                self._dispose()
            finally:
                self._in_use.release()

    def _dispose(self) -> None:
        fd, self._fd = self._fd, -1
        new, self._new = self._new, None
        if new is not None:
            new.discard()
        elif fd >= 0:
            os.close(fd)
