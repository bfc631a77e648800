"""Finds processes in /proc by family, and signals each so that a reused number is never hit.

Without /proc, which is Linux's, it finds none. One scan reads every /proc/PID/stat, about 18 us each, since
/proc/PID/task/TID/children is missing from many kernels. A scan is no snapshot, because processes fork and end
meanwhile: whoever must miss none scans again until none is found.
"""

import os
import signal
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple


class Stat(NamedTuple):
    """A process at the time of the scan. ``pid`` and ``started`` (clock ticks since boot) together are unique."""

    pid: int
    parent: int
    pgid: int
    sid: int
    started: int
    name: str


def read_stat(pid: int) -> Stat | None:
    """Read one process; None when it has ended, also when it is a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            text = file.read(4096)
    except OSError:
        return None
    # The name may hold anything, blanks and parentheses too; after its last parenthesis come only numbers.
    before, _, after = text.rpartition(b")")
    fields = after.split()
    state, threads = fields[0], int(fields[17])
    if state in b"ZX" and threads < 2:  # with other threads it is only the first that has ended
        return None
    name = before.partition(b"(")[2].decode(errors="replace")
    return Stat(pid, int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]), name)


def scan() -> list[Stat]:
    """Read all live processes. Never raises: who scans is about to end processes, and goes on with the next."""
    return list(_scan())


def _scan() -> Iterator[Stat]:
    try:
        names = os.listdir("/proc")
    except OSError:  # there is none, or no descriptor is left to read it with
        return
    for name in names:
        if name.isdigit() and (stat := read_stat(int(name))) is not None:
            yield stat


def family(roots: Collection[int], stats: Iterable[Stat]) -> list[Stat]:
    """Pick from ``stats`` the descendants of ``roots``, without these, parents before their children."""
    children: dict[int, list[Stat]] = {}
    for stat in stats:
        children.setdefault(stat.parent, []).append(stat)
    found: list[Stat] = []
    seen = set(roots)
    ahead = list(roots)
    for pid in ahead:  # grows as it goes
        for stat in children.get(pid, ()):
            if stat.pid not in seen:  # a number reused during the scan could close a circle
                seen.add(stat.pid)
                ahead.append(stat.pid)
                found.append(stat)
    return found


def descendants(root: int) -> list[Stat]:
    """Find the live descendants of ``root``. For a child subreaper that is all that ever descended from it."""
    return family([root], scan())


def members(pgid: int, stats: Iterable[Stat]) -> list[Stat]:
    """Pick from ``stats`` the group ``pgid``, which was the session of a child of ours that we have reaped.

    A group with a leader of that very number is another's: the number was reused.
    """
    found = [stat for stat in stats if stat.pgid == pgid and stat.sid == pgid]
    return [] if any(stat.pid == pgid for stat in found) else found


def send(process: Stat, number: int) -> bool:
    """Signal exactly this process; False when it has ended or may not be signalled, whoever has its number now."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        # The descriptor is of whoever has the number now; if that is still our process it stays so.
        now = read_stat(process.pid)
        if now is None or now.started != process.started:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except OSError:  # it ended since, or is another user's
        return False
    finally:
        os.close(descriptor)
    return True


def kill_descendants(root: int, *, spare: Collection[int] = ()) -> list[Stat]:
    """SIGKILL the descendants of ``root``, but for those in ``spare`` and theirs; return those that were hit.

    One round: what was forked meanwhile, and what is still dying, is found by the next. Nothing is waited for.
    """
    stats = [stat for stat in scan() if stat.pid not in spare]
    return [stat for stat in family([root], stats) if send(stat, signal.SIGKILL)]
