"""A child of the operating system and the descriptors between it and us: pipes or a terminal, one interface.

Kernel facts this rests on. O_NONBLOCK belongs to an open file description, and our ends have their own. A terminal
whose last slave is closed, or whose session leader has ended, gives EIO: that is its end of file. A pidfd becomes
readable when the child has ended, whoever still holds its pipes. Until we reap it, its number is not given away, so
its group can be signalled by number; afterwards its members are looked up (`descendants.py`).
"""

import array
import errno
import fcntl
import os
import signal
import termios
from collections.abc import Sequence
from typing import Final

import trio

from execserver.server.child import CHUNK_BYTES, Ended, Kin, Source
from execserver.server.descendants import send
from execserver.server.kernel import grow_pipe
from execserver.wire.process import Stream

# What was read into a buffer of 64 KiB and shrunk stays where that buffer was, and the log keeps it: holes between, 318
# bytes of memory for an event of 6. A copy of what is small goes where small objects are kept together.
_SMALL_BYTES: Final = 512
_GATHERED_BYTES: Final = 16 * 1024  # of a terminal: four reads, and a quarter of what a pipe gives at once
# Worth 40 % of a flood's speed. Asked for at the first full read only: pipes have a quota for each user.
_FLOODED_PIPE_BYTES: Final = 256 * 1024


class Readable:
    """A descriptor that tells something by becoming readable, and may be closed while one task waits for that."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waited_for = False

    async def wait_readable(self) -> None:
        """Return when it is; `trio.ClosedResourceError` when it is closed meanwhile."""
        self._waited_for = True
        await trio.lowlevel.wait_readable(self._fd)
        self._waited_for = False  # not where the wait was cancelled: epoll still holds what trio must let go of

    def close(self) -> None:
        """Close, waking who waits. To tell trio where nobody does is a call of the kernel and an exception in vain."""
        if self._fd >= 0:
            if self._waited_for:
                trio.lowlevel.notify_closing(self._fd)
            os.close(self._fd)
            self._fd = -1


class PipeSource(Readable):
    """The reading end of a pipe, or the master of a terminal."""

    def __init__(self, fd: int, stream: Stream) -> None:
        super().__init__(fd)
        self.stream: Stream = stream
        self._grown = stream == "pty"  # a terminal has no size to grow
        self._count: array.array[int] | None = None  # for `held`: making one takes as long as the call

    def read(self) -> bytes:
        """See `Source`."""
        try:
            data = os.read(self._fd, CHUNK_BYTES) if self._fd >= 0 else b""
        except OSError as error:
            if error.errno == errno.EIO:  # a terminal's end of file
                return b""
            raise
        if len(data) == CHUNK_BYTES:
            if not self._grown:
                self._grown = True
                grow_pipe(self._fd, _FLOODED_PIPE_BYTES)
        elif len(data) <= _SMALL_BYTES:
            return bytes(memoryview(data))
        elif self.stream == "pty":
            return self._gather(data)
        return data

    def _gather(self, data: bytes) -> bytes:
        """Read on: a terminal gives 4 KiB at most a read(2), however much it holds."""
        parts = [data]
        size = len(data)
        while size < _GATHERED_BYTES:
            try:
                data = os.read(self._fd, CHUNK_BYTES)
            except OSError:  # nothing more now, or the end of file: the next read will say which
                break
            parts.append(data)
            size += len(data)
        return b"".join(parts)

    def held(self) -> int:
        """See `Source`."""
        if self._fd < 0:
            return 0
        if self._count is None:
            self._count = array.array("i", [0])
        fcntl.ioctl(self._fd, termios.FIONREAD, self._count)
        return self._count[0]


class PosixChild:
    """A child with a pidfd, and pipes or a terminal."""

    def __init__(
        self,
        pid: int,
        pidfd: int,
        sources: Sequence[PipeSource],
        stdin: int,
        *,
        tty: bool,
        kin: Kin,
    ) -> None:
        """Take over the descriptors. ``stdin`` is -1 where there is none to feed."""
        self.pid = pid
        self.sources: Sequence[Source] = sources
        self.tty = tty
        self._pidfd = Readable(pidfd)
        self._stdin = stdin
        self._kin = kin
        self._reaped = False
        self._reported = False
        self._group_is_empty = False

    async def wait_ended(self) -> None:
        """See `Child`."""
        await self._pidfd.wait_readable()

    def has_ended(self) -> bool:
        """See `Child`."""
        return self._reaped or os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def reap(self) -> Ended:
        """See `Child`."""
        _, status, usage = os.wait4(self.pid, 0)
        self._reaped = True
        code = os.waitstatus_to_exitcode(status)
        return Ended(
            exit_code=code if code >= 0 else 128 - code,
            signal=None if code >= 0 else signal_name(-code),
            core_dumped=os.WCOREDUMP(status),
            user_seconds=usage.ru_utime,
            system_seconds=usage.ru_stime,
        )

    def report_reaped(self) -> None:
        """See `Child`."""
        if self._reaped and not self._reported:
            self._reported = True
            self._kin.note_reaped(self)

    def signal_group(self, number: int) -> bool:
        """See `Child`."""
        if not self.has_group():
            return False
        if self._reaped:
            sent = [send(member, number) for member in self._kin.find_members(self.pid)]
            return any(sent)  # after all of them, not up to the first
        try:
            os.killpg(self.pid, number)
        except PermissionError:
            return False  # all of it runs setuid programs
        return True

    def has_group(self) -> bool:
        """See `Child`. Once empty it stays so: a group found later under the number is another one."""
        if self._reaped and not self._group_is_empty:
            try:
                os.killpg(self.pid, 0)
            except ProcessLookupError:
                self._group_is_empty = True
            except PermissionError:
                return True  # of another user now: a member ran a setuid program
        return not self._group_is_empty

    def write(self, data: bytes | memoryview) -> int:
        """See `Child`."""
        if self._stdin < 0:
            raise BrokenPipeError
        return os.write(self._stdin, data)

    async def wait_writable(self) -> None:
        """See `Child`."""
        if self._stdin >= 0:
            await trio.lowlevel.wait_writable(self._stdin)

    def close_stdin(self) -> None:
        """See `Child`. A terminal stays open: its end of file is a character, which `stdin.py` sends."""
        if not self.tty:
            self._stdin = _close(self._stdin)

    def end_of_file(self, after: bytes) -> bytes:
        """See `Child`."""
        _, _, _, local_flags, _, _, characters = termios.tcgetattr(self._stdin)
        character: bytes = characters[termios.VEOF]
        mid_line = local_flags & termios.ICANON and after not in (b"", b"\n", b"\r", character)
        return character * 2 if mid_line else character

    def resize(self, rows: int, cols: int) -> None:
        """See `Child`."""
        termios.tcsetwinsize(self._stdin, (rows, cols))

    def close(self) -> None:
        """See `Child`."""
        for source in self.sources:
            source.close()
        self._stdin = _close(self._stdin)
        self._pidfd.close()


def signal_name(number: int) -> str:
    """``SIGKILL`` for 9; ``SIGRTMIN+1`` and the like have no name of their own in Python."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"


def _close(fd: int) -> int:
    """Close, waking whoever waits on it with `trio.ClosedResourceError`; return what a closed descriptor is to us."""
    if fd >= 0:
        trio.lowlevel.notify_closing(fd)
        os.close(fd)
    return -1
