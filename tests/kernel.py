"""What /proc says about processes and descriptors: how tests see that nothing is left. Linux only."""

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trio

PR_SET_CHILD_SUBREAPER = 36
SETTLE_SECONDS = 2.0  # what the protocol allows from the death of the daemon to the death of the last process


@dataclass(frozen=True)
class Task:
    """One process as /proc/PID/stat shows it."""

    pid: int
    name: str
    state: str
    parent: int
    group: int
    session: int
    foreground: int  # the group that its terminal takes for the foreground one

    @property
    def zombie(self) -> bool:
        return self.state in "ZX"


def task(pid: int) -> Task | None:
    """Describe a process; None when there is none of that number."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # the name stands in parentheses and may itself hold blanks and parentheses
    head, _, tail = text.rpartition(")")
    state, parent, group, session, _, foreground = tail.split()[:6]
    return Task(pid, head.partition("(")[2], state, int(parent), int(group), int(session), int(foreground))


def tasks() -> list[Task]:
    """Describe every process there is."""
    found = [task(int(name)) for name in os.listdir("/proc") if name.isdigit()]
    return [one for one in found if one is not None]


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    found = task(pid)
    return found is not None and not found.zombie


def dead(pid: int) -> bool:
    """Whether the process has ended, buried or not."""
    return not alive(pid)


def descendants(pid: int) -> list[Task]:
    """Find the children of a process, their children, and so on; zombies too."""
    children: dict[int, list[Task]] = {}
    for one in tasks():
        children.setdefault(one.parent, []).append(one)
    found: list[Task] = []
    pending = [pid]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += [one.pid for one in below]
    return found


def members(group: int) -> list[Task]:
    """Find the live processes of a process group."""
    return [one for one in tasks() if one.group == group and not one.zombie]


def command_line(pid: int) -> str:
    """The arguments of a process, for messages."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "?"


def descriptors(pid: int) -> dict[int, str]:
    """The open descriptors of a process and what each leads to."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # the one that lists the directory, when it is our own
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
    return found


def status(pid: int) -> dict[str, str]:
    """The fields of /proc/PID/status."""
    return parse_status(Path(f"/proc/{pid}/status").read_text())


def parse_status(text: str) -> dict[str, str]:
    """The fields of the text of a /proc/PID/status."""
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def resident_kib(pid: int, field: str = "VmRSS") -> int:
    """The resident memory of a process in KiB; ``VmHWM`` is its peak."""
    return int(status(pid)[field].split()[0])


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Make this process the parent of whatever its descendants leave behind, however they fled.

    A subreaper gets every orphan below it, `setsid` and double forks included: so nothing can hide, and no
    environment variable has to mark what belongs to a test.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@contextmanager
def nothing_left() -> Iterator[None]:
    """Fail when the block leaves a process or a descriptor behind; end what it left all the same."""
    me = os.getpid()
    with adopting_orphans():
        before = {one.pid for one in descendants(me)}
        descriptors_before = descriptors(me)
        yield
        deadline = time.monotonic() + SETTLE_SECONDS
        while left := _new_descendants(me, before):
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
        report = [f"{one} {command_line(one.pid)}" for one in left]
        while left:
            for one in left:
                with suppress(ProcessLookupError):
                    os.kill(one.pid, signal.SIGKILL)
            left = _new_descendants(me, before)
        opened = {fd: target for fd, target in descriptors(me).items() if fd not in descriptors_before}
    assert not report, f"processes left behind: {report}"
    assert not opened, f"descriptors left open in the test's own process: {opened}"


def _new_descendants(pid: int, before: set[int]) -> list[Task]:
    """Reap the orphans that have ended, and find those that live."""
    alive_now = []
    for one in descendants(pid):
        if one.pid in before:
            continue
        if one.zombie and one.parent == pid:
            with suppress(ChildProcessError):
                os.waitpid(one.pid, os.WNOHANG)
        else:
            alive_now.append(one)
    return alive_now


async def settled(condition: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Wait until the kernel shows what is expected; there is no event to wait for in /proc."""
    with trio.move_on_after(seconds):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.005)
        return
    raise AssertionError(f"not within {seconds} s: {what}")
