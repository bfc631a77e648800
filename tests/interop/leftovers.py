"""Who is still running: found by a mark in the environment or by the working directory. Never signals by name.

Two traces, since a child with an environment of its own has lost the mark, and a daemon may have changed directory.
"""

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

MARK = "EXECSERVER_TEST_RUN"


def running(mark: str, below: Path) -> dict[int, str]:
    """The processes with that mark, or at work below that directory: pid to command line. Zombies are none."""
    return {pid: _command(pid) for pid in _pids() if _marked(pid, mark) or _works_below(pid, below)}


def wait_until_gone(mark: str, below: Path, seconds: float) -> dict[int, str]:
    """Wait for all of them to end; those that are left after so many seconds are returned, and killed."""
    deadline = time.monotonic() + seconds
    while (left := running(mark, below)) and (remaining := deadline - time.monotonic()) > 0:
        _wait_for_one(left, remaining)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return left


def _wait_for_one(pids: dict[int, str], seconds: float) -> None:
    """Return when one of them has ended. A pidfd is readable then, also for a process that is no child of ours."""
    poll = select.poll()
    with ExitStack() as opened:
        for pid in pids:
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                return
            opened.callback(os.close, descriptor)
            poll.register(descriptor, select.POLLIN)
        poll.poll(seconds * 1000)


def _pids() -> Iterator[int]:
    own = os.getpid()
    return (int(entry) for entry in os.listdir("/proc") if entry.isdecimal() and int(entry) != own)


def _read(pid: int, name: str) -> bytes:
    """A file of /proc/PID, empty when the process is gone or not ours."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _command(pid: int) -> str:
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def _marked(pid: int, mark: str) -> bool:
    return f"{MARK}={mark}".encode() in _read(pid, "environ").split(b"\0")


def _works_below(pid: int, below: Path) -> bool:
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd")).is_relative_to(below)
    except OSError:
        return False
