"""Ends what a killed daemon left: a program of its own, started by the guardian's shell (see ``server.guardian``).

Descriptor 0 is the pipe that ends with the daemon, descriptor 3 the ledger. It runs under ``python -I -S`` and imports
next to nothing, so that it begins within 20 ms.

All that is found is frozen before anything is killed: a process that dies hands its children to init, and who fled from
the group is found only as long as its ancestors live.
"""

import os
import signal
import sys
import time

from execserver.server.descendants import Stat, family, scan, send
from execserver.server.ledger import read_ledger

_PIPE = 0
_LEDGER = 3
_SECONDS = 1.5  # the whole promise is two; a fork bomb that cannot be frozen faster is left to the shell's kill


def main() -> None:
    """Wait for the daemon's end, then end what it left. Exits with 1 if that took too long."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    while os.read(_PIPE, 64):
        pass
    sys.exit(not end(*read_ledger(_LEDGER)))


def end(groups: set[int], links: set[str]) -> bool:
    """Kill the groups, their sessions, whoever holds one of ``links``, and all of their descendants.

    False when time ran out before all of them were frozen.
    """
    until = time.monotonic() + _SECONDS
    known: set[tuple[int, int]] = set()
    doomed: list[Stat] = []
    while time.monotonic() < until:
        found = [stat for stat in _find(groups, links) if (stat.pid, stat.started) not in known]
        if found:
            known.update((stat.pid, stat.started) for stat in found)
            doomed += found
            _send_all(found, signal.SIGSTOP)
        elif doomed:
            _send_all(doomed, signal.SIGKILL)
            doomed = []  # once more, for what somebody else continued meanwhile
        else:
            return True
    _send_all(doomed, signal.SIGKILL)
    return False


def _send_all(stats: list[Stat], number: int) -> None:
    for stat in stats:
        send(stat, number)


def _find(groups: set[int], links: set[str]) -> list[Stat]:
    stats = scan()
    roots = [
        stat
        for stat in stats
        # A session is named after the child that leads it: job control makes groups in it that nobody wrote down.
        if stat.pgid in groups or stat.sid in groups or _holds(stat.pid, links)
    ]
    return roots + family([stat.pid for stat in roots], stats)


def _holds(pid: int, links: set[str]) -> bool:
    """Say whether the process has one of ``links`` as its standard input, output or error.

    The path of a terminal is marked as deleted once the daemon is gone; without the mark it is another's.
    """
    for descriptor in range(3):
        try:
            link = os.readlink(f"/proc/{pid}/fd/{descriptor}")
        except OSError:  # closed, ended, or another user's
            continue
        if link.removesuffix(" (deleted)") in links and link.endswith((" (deleted)", "]")):
            return True
    return False
