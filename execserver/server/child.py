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
from subprocess import Popen
from typing import Final, NamedTuple, Protocol

import trio

from execserver.server.descendants import Stat, send
from execserver.server.kernel import grow_pipe
from execserver.wire.process import Stream

CHUNK_BYTES: Final = 64 * 1024  # four times that costs 2.5 times the latency beside eight floods, and gains nothing
# What was read into a buffer of 64 KiB and shrunk stays where that buffer was, and the log keeps it: holes between, 318
# bytes of memory for an event of 6. A copy of what is small goes where small objects are kept together.
_SMALL_BYTES: Final = 512
# Worth 40 % of a flood's speed. Asked for at the first full read only: pipes have a quota for each user.
_FLOODED_PIPE_BYTES: Final = 256 * 1024


class Ended(NamedTuple):
    """How a child ended, and what it cost: wait4(2)."""

    exit_code: int  # 128 + N for death by signal N
    signal: str | None
    core_dumped: bool
    user_seconds: float
    system_seconds: float


class Source(Protocol):
    """One stream of output."""

    stream: Stream

    def read(self) -> bytes:
        """What is there, at most `CHUNK_BYTES`; empty at end of file; `BlockingIOError` when nothing is there."""

    async def wait_readable(self) -> None:
        """Return when `read` has something to say."""

    def held(self) -> int:
        """Bytes that the kernel holds for us."""

    def close(self) -> None:
        """Give the stream up; whoever still writes gets SIGPIPE or SIGHUP."""


class Child(Protocol):
    """A spawned child. Its real kinds are made by `spawn`; the tests have another that needs no kernel."""

    @property
    def pid(self) -> int:
        """Also the number of its group and of its session."""

    @property
    def tty(self) -> bool:
        """Whether it has a terminal, which is stdin too."""

    @property
    def sources(self) -> Sequence[Source]:
        """Its streams of output."""

    async def wait_ended(self) -> None:
        """Return when the child has ended. It is not reaped: its number stays its own."""

    def reap(self) -> Ended:
        """Collect the status of the child that has ended. Its number is free from now on."""

    def signal_group(self, number: int) -> bool:
        """Signal the process group; False where it has no member any more. Never hits a number that was reused."""

    def has_group(self) -> bool:
        """Whether the group has a member, be it the child itself."""

    def write(self, data: bytes | memoryview) -> int:
        """Feed stdin; `BlockingIOError` when it is full, `OSError` when nobody reads it any more."""

    async def wait_writable(self) -> None:
        """Return when `write` may take something."""

    def close_stdin(self) -> None:
        """End of file for the child's stdin. Closing again is no error."""

    def end_of_file(self, *, mid_line: bool) -> bytes:
        """What to write to a terminal for its end of file. The first one after part of a line only ends the line."""

    def resize(self, rows: int, cols: int) -> None:
        """Resize the terminal; its foreground group gets SIGWINCH."""

    def close(self) -> None:
        """Close every descriptor that is still open."""


class PipeSource:
    """The reading end of a pipe, or the master of a terminal."""

    def __init__(self, fd: int, stream: Stream) -> None:
        self._fd = fd
        self.stream = stream
        self._grown = stream == "pty"  # a terminal has no size to grow

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
        return data

    async def wait_readable(self) -> None:
        """See `Source`."""
        await trio.lowlevel.wait_readable(self._fd)

    def held(self) -> int:
        """See `Source`."""
        if self._fd < 0:
            return 0
        count = array.array("i", [0])
        fcntl.ioctl(self._fd, termios.FIONREAD, count)
        return count[0]

    def close(self) -> None:
        """See `Source`."""
        self._fd = _close(self._fd)


class PosixChild:
    """A child with a pidfd, and pipes or a terminal."""

    def __init__(
        self,
        popen: Popen[bytes],
        pidfd: int,
        sources: Sequence[PipeSource],
        stdin: int,
        *,
        tty: bool,
        kin: "Kin",
    ) -> None:
        """Take over the descriptors. ``stdin`` is -1 where there is none to feed."""
        self.pid = popen.pid
        self.sources = sources
        self.tty = tty
        self._popen = popen
        self._pidfd = pidfd
        self._stdin = stdin
        self._kin = kin
        self._reaped = False
        self._group_is_empty = False

    async def wait_ended(self) -> None:
        """See `Child`."""
        await trio.lowlevel.wait_readable(self._pidfd)

    def reap(self) -> Ended:
        """See `Child`."""
        _, status, usage = os.wait4(self.pid, 0)
        self._reaped = True
        self._kin.note_reaped(self)
        code = self._popen.returncode = os.waitstatus_to_exitcode(status)
        return Ended(
            exit_code=code if code >= 0 else 128 - code,
            signal=None if code >= 0 else signal_name(-code),
            core_dumped=os.WCOREDUMP(status),
            user_seconds=usage.ru_utime,
            system_seconds=usage.ru_stime,
        )

    def signal_group(self, number: int) -> bool:
        """See `Child`."""
        if not self.has_group():
            return False
        if self._reaped:
            sent = [send(member, number) for member in self._kin.find_members(self.pid)]
            return any(sent)  # after all of them, not up to the first
        os.killpg(self.pid, number)
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

    def end_of_file(self, *, mid_line: bool) -> bytes:
        """See `Child`."""
        _, _, _, local_flags, _, _, characters = termios.tcgetattr(self._stdin)
        character: bytes = characters[termios.VEOF]
        return character * 2 if mid_line and local_flags & termios.ICANON else character

    def resize(self, rows: int, cols: int) -> None:
        """See `Child`."""
        termios.tcsetwinsize(self._stdin, (rows, cols))

    def close(self) -> None:
        """See `Child`."""
        for source in self.sources:
            source.close()
        self._stdin = _close(self._stdin)
        self._pidfd = _close(self._pidfd)


class Kin(Protocol):
    """Who answers for the children together: `family.Family`."""

    def note_reaped(self, child: PosixChild) -> None:
        """The child is reaped; its group may live on."""

    def find_members(self, pgid: int) -> list[Stat]:
        """Find the live members of a group of ours whose leader is reaped."""


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
