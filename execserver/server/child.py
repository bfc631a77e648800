"""A child of the operating system as the rest of the server sees it. No I/O: the real one is `posix_child`.

The tests have another, which needs no kernel.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from execserver.server.descendants import Stat
from execserver.wire.process import Stream

CHUNK_BYTES: Final = 64 * 1024  # four times that costs 2.5 times the latency beside eight floods, and gains nothing


class Ended(NamedTuple):
    """How a child ended, and what it cost: wait4(2)."""

    exit_code: int  # 128 + N for death by signal N
    signal: str | None
    core_dumped: bool
    user_seconds: float
    system_seconds: float


class Source(Protocol):
    """One stream of output."""

    @property
    def stream(self) -> Stream:
        """Which one."""
        ...

    def read(self) -> bytes:
        """What is there, at most `CHUNK_BYTES`; empty at end of file; `BlockingIOError` when nothing is there."""
        ...

    async def wait_readable(self) -> None:
        """Return when `read` has something to say."""
        ...

    def held(self) -> int:
        """Bytes that the kernel holds for us."""
        ...

    def close(self) -> None:
        """Give the stream up; whoever still writes gets SIGPIPE or SIGHUP."""
        ...


class Child(Protocol):
    """A spawned child. Its real kinds are made by `spawn`; the tests have another that needs no kernel."""

    @property
    def pid(self) -> int:
        """Also the number of its group and of its session."""
        ...

    @property
    def tty(self) -> bool:
        """Whether it has a terminal, which is stdin too."""
        ...

    @property
    def sources(self) -> Sequence[Source]:
        """Its streams of output."""
        ...

    async def wait_ended(self) -> None:
        """Return when the child has ended. It is not reaped: its number stays its own."""
        ...

    def has_ended(self) -> bool:
        """Whether `wait_ended` would return at once. Never yields."""
        ...

    def reap(self) -> Ended:
        """Collect the status of the child that has ended. Its number is free from now on; `report_reaped` follows."""
        ...

    def report_reaped(self) -> None:
        """Tell the kin, once, if it was reaped. It takes 20 us, for which who waits for the exit need not wait."""
        ...

    def signal_group(self, number: int) -> bool:
        """Signal the process group; False where it has no member that we may signal. Never hits a reused number."""
        ...

    def has_group(self) -> bool:
        """Whether the group has a member, be it the child itself."""
        ...

    def write(self, data: bytes | memoryview) -> int:
        """Feed stdin; `BlockingIOError` when it is full, `OSError` when nobody reads it any more."""
        ...

    async def wait_writable(self) -> None:
        """Return when `write` may take something."""
        ...

    def close_stdin(self) -> None:
        """End of file for the child's stdin. Closing again is no error."""
        ...

    def end_of_file(self, after: bytes) -> bytes:
        """What to write to a terminal for its end of file behind this byte, empty where it would be the first.

        Behind part of a line the character only ends that line, and a second one is needed.
        """
        ...

    def resize(self, rows: int, cols: int) -> None:
        """Resize the terminal; its foreground group gets SIGWINCH."""
        ...

    def close(self) -> None:
        """Close every descriptor that is still open."""
        ...


class Kin(Protocol):
    """Who answers for the children together: `family.Family`."""

    def note_reaped(self, child: Child) -> None:
        """The child is reaped; its group may live on."""
        ...

    def find_members(self, pgid: int) -> list[Stat]:
        """Find the live members of a group of ours whose leader is reaped."""
        ...
