"""The list of process groups that live, kept in memory that outlives the daemon. No processes, no signals.

Who ends the children of a killed daemon must know them at that instant, but costs nothing until then. So the list is a
file without a name, of lines of equal length, which the guardian holds open and reads once, at the end: no message is
sent for an event, nobody is woken, and no queue can be full. A line changes by one pwrite(2) within one page, which a
SIGKILL does not tear. (Writes to the memory of an mmap could be torn; messages on a pipe cost 20 us of the reader's
time an event, and block when it falls behind.)

A line is ``GROUP LINKS``. A group is written down *before* it exists, as ``- LINKS``, because the daemon may be killed
inside posix_spawn(2): LINKS are what /proc/PID/fd/1 and 2 of the child will point to (``pipe:[123]``), by which it is
found.
"""

import fcntl
import os
import stat
from typing import Final

LINE: Final = 64  # bytes; divides every page size
_FREE: Final = b"\n".rjust(LINE)
_ABOVE_STDIO: Final = 10  # the daemon moves descriptors on to 0, 1 and 2


class Ledger:
    """The writer's side. Every call is one short system call at most, and never waits."""

    def __init__(self) -> None:
        self.descriptor = _unnamed_file()
        self._intents: dict[str, int] = {}
        self._groups: dict[int, int] = {}
        self._free: list[int] = []
        self._lines = 0

    def __len__(self) -> int:
        """How many groups live or are about to."""
        return len(self._intents) + len(self._groups)

    def intend(self, links: str) -> None:
        """A child whose output goes to ``links`` (blank between two of them) is about to be spawned."""
        if self._free:
            line = self._free.pop()
        else:
            line = self._lines
            self._lines += 1
        self._write(line, f"- {links}")
        self._intents[links] = line

    def begin(self, links: str, pgid: int) -> None:
        """It was spawned, and leads the group ``pgid``."""
        line = self._intents.pop(links)
        self._write(line, f"{pgid} {links}")
        self._groups[pgid] = line

    def failed(self, links: str) -> None:
        """It was not spawned."""
        self._release(self._intents.pop(links))

    def end(self, pgid: int) -> None:
        """No process of the group is left: its number may go to another from now on. Repeating it is no error."""
        line = self._groups.pop(pgid, None)
        if line is not None:
            self._release(line)

    def close(self) -> None:
        """Forget all of it."""
        os.close(self.descriptor)

    def _release(self, line: int) -> None:
        os.pwrite(self.descriptor, _FREE, line * LINE)
        self._free.append(line)

    def _write(self, line: int, text: str) -> None:
        os.pwrite(self.descriptor, text.encode().ljust(LINE - 1)[: LINE - 1] + b"\n", line * LINE)


def read_ledger(descriptor: int) -> tuple[set[int], set[str]]:
    """Read the groups that live, and the links of all children, whether begun or intended."""
    groups: set[int] = set()
    links: set[str] = set()
    content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    for line in content.decode().splitlines():
        group, _, written = line.partition(" ")
        if group.isdigit():
            groups.add(int(group))
        links.update(written.split())
    return groups, links


def link_of(descriptor: int) -> str:
    """Tell what /proc/PID/fd/N of a child says that is given this pipe or terminal."""
    status = os.fstat(descriptor)
    if stat.S_ISFIFO(status.st_mode):
        return f"pipe:[{status.st_ino}]"  # proc_pid_fd(5). Reading the link takes four times as long
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:  # no /proc: nobody will look for it, but it must be distinct
        return f"fd:[{descriptor}]"


def _unnamed_file() -> int:
    if hasattr(os, "memfd_create"):
        made = os.memfd_create("execserver-groups", os.MFD_CLOEXEC)
    else:
        import tempfile  # slow to load, and not for Linux

        with tempfile.TemporaryFile() as file:
            made = os.dup(file.fileno())
    try:
        return fcntl.fcntl(made, fcntl.F_DUPFD_CLOEXEC, _ABOVE_STDIO)
    finally:
        os.close(made)
