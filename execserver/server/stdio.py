"""Takes the wire off descriptors 0 and 1, so that neither a library nor a child can write into the protocol.

Afterwards 0 is /dev/null and 1 is stderr. The wire does not block: O_NONBLOCK belongs to the open file description,
which whoever launched us may share, so it is given back on every way out that leaves us a chance.
"""

import fcntl
import logging
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import trio

from execserver.server.kernel import grow_pipe

logger = logging.getLogger(__name__)

READ_BYTES: Final = 64 * 1024
# After a full read, since there is more. Not always: a round trip would take 2 % longer.
_FULL_READ_BYTES: Final = 256 * 1024
# A line of 64 KiB of output is 87 KiB: in the default pipe of 64 KiB every write would stop half-way (757 MB/s; 1361
# in a large one). But what stands in the pipe is ahead of an echo, so the output's is no larger than it has to be.
_OUTPUT_PIPE_BYTES: Final = 256 * 1024
_INPUT_PIPE_BYTES: Final = 1024 * 1024
_ABOVE_STDIO: Final = 64  # leaves the small numbers to whatever expects them


class Wire(Protocol):
    """Both directions of the connection to one client."""

    async def receive(self) -> bytes:
        """Return what has arrived; empty at end of file."""
        ...

    def write(self, data: bytes | memoryview) -> int:
        """Take what fits now, at least one byte; `BlockingIOError` for none, `OSError` when the reader has gone."""
        ...

    async def wait_writable(self) -> None:
        """Return when `write` may take something."""
        ...

    async def wait_gone(self) -> None:
        """Return when nobody can read what is written any more."""
        ...

    def input_has_ended(self) -> bool:
        """Whether the other side has closed its end of our input, even if there is something left to read."""
        ...


class StdioWire:
    """A wire over two descriptors that do not block: pipes, sockets, terminals, or regular files."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self._writing = writing
        self._read_bytes = READ_BYTES

    async def receive(self) -> bytes:
        """See `Wire`."""
        while True:
            try:
                await trio.lowlevel.wait_readable(self._reading)
            except PermissionError:  # a regular file, which no poll knows, is always readable
                await trio.lowlevel.checkpoint()
            try:
                data = os.read(self._reading, self._read_bytes)
            except BlockingIOError:
                continue
            except OSError as error:  # a socket was reset, a terminal hung up, a disk failed
                logger.warning("the input ends: %s", error)
                return b""
            self._read_bytes = _FULL_READ_BYTES if len(data) >= READ_BYTES else READ_BYTES
            return data

    def write(self, data: bytes | memoryview) -> int:
        """See `Wire`."""
        return os.write(self._writing, data)

    async def wait_writable(self) -> None:
        """See `Wire`. A regular file, which no poll knows, never refuses a write."""
        await trio.lowlevel.wait_writable(self._writing)

    async def wait_gone(self) -> None:
        """See `Wire`. Watched with an epoll of our own, since trio's wait would also return for "writable"."""
        watch = select.epoll()
        try:
            try:
                watch.register(self._writing, 0)  # EPOLLERR and EPOLLHUP are always told
            except PermissionError:
                await trio.sleep_forever()  # a regular file: nobody can go
            await trio.lowlevel.wait_readable(watch.fileno())
        finally:
            watch.close()

    def input_has_ended(self) -> bool:
        """See `Wire`."""
        watch = select.poll()
        watch.register(self._reading, select.POLLRDHUP)
        return bool(watch.poll(0))


@contextmanager
def take_wire() -> Iterator[StdioWire]:
    """Take descriptors 0 and 1 over for the length of a session."""
    reading, writing = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE_STDIO) for fd in (0, 1))
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    blocking = [os.get_blocking(fd) for fd in (reading, writing)]
    try:
        for fd, size in ((reading, _INPUT_PIPE_BYTES), (writing, _OUTPUT_PIPE_BYTES)):
            os.set_blocking(fd, False)
            grow_pipe(fd, size)
        yield StdioWire(reading, writing)
    finally:
        for fd, was_blocking in zip((reading, writing), blocking, strict=True):
            os.set_blocking(fd, was_blocking)
            os.close(fd)
