"""The children of the server: which have an owner, whose group lives on without its leader, which zombies are nobody's.

A child subreaper inherits every descendant that lost its parent, and so its zombie. The status of a child that has an
owner task is the owner's. So a look (waitid with WNOWAIT) comes before every taking, and stops at the first zombie
that is owned: what is behind it is seen when its owner has reaped it, since another look follows.

Only the daemon reaps orphans. In another program (`execserver.local`) a zombie that is not ours is the program's, or
that of a second server in it, and its status must stay there.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio
from trio.lowlevel import ParkingLot

from execserver.server.child import Child
from execserver.server.descendants import Stat, descendants, members
from execserver.server.guardian import Guardian
from execserver.server.pipes import OutputPipes
from execserver.server.posix_child import PosixChild
from execserver.server.spawn import Command, spawn

# That one scan of /proc serves for: the end of a session asks for each of its groups, and with 300 without a leader a
# scan for each took 12 s. Whoever is signalled by an old scan is still looked at first (`descendants.send`).
SCAN_SECONDS: Final = 0.02
_SIGINFO_BYTES: Final = 128  # of one signal: those of many children are one


class Family:
    """Every child, from its spawn until the last member of its group has gone."""

    def __init__(self, guardian: Guardian, scan: Callable[[], list[Stat]] | None = None) -> None:
        """``guardian`` learns of every group that begins and ends.

        ``scan`` finds all among whom a group without its leader may be: None is the descendants of this process, which
        is right for a child subreaper alone.
        """
        self._guardian = guardian
        self._pipes = OutputPipes()
        self._scan = scan or (lambda: descendants(os.getpid()))
        self._scanned: list[Stat] = []
        self._scanned_at = -SCAN_SECONDS
        self._unreaped: set[int] = set()
        self._reaped = ParkingLot()  # where `reap_orphans` waits for the owner of the first zombie
        self._leaderless: dict[int, Child] = {}

    def spawn(self, command: Command) -> PosixChild:
        """Spawn a child that reports here when its owner has reaped it."""
        child = spawn(command, self._pipes, self._guardian, self)
        self._unreaped.add(child.pid)
        return child

    def prepare(self) -> None:
        """Do for the next child what can be done before it is asked for."""
        self._pipes.make_ahead()

    def close(self) -> None:
        """Let go of what was prepared."""
        self._pipes.close()

    async def reap_orphans(self, child_signals: int) -> None:
        """Reap whatever has no owner when it ends; see `kernel.child_signals`. Never returns.

        Nearly every signal is that of a child with an owner, who learns of its end by himself: then this only looks.
        """
        while True:
            await trio.lowlevel.wait_readable(child_signals)
            with suppress(BlockingIOError):  # another thread has taken it: there was one all the same
                os.read(child_signals, _SIGINFO_BYTES)
            await trio.lowlevel.checkpoint()  # by then nearly every owner has reaped: this pass has told him as well
            while (pid := _first_zombie()) is not None:
                if pid in self._unreaped:
                    await self._reaped.park()
                else:
                    self._reap_orphan(pid)

    def find_members(self, pgid: int) -> list[Stat]:
        """See `Kin`."""
        if time.monotonic() >= self._scanned_at + SCAN_SECONDS:
            self._scanned = self._scan()
            self._scanned_at = time.monotonic()
        return members(pgid, self._scanned)

    def note_reaped(self, child: Child) -> None:
        """See `Kin`."""
        self._unreaped.discard(child.pid)
        self._leaderless[child.pid] = child
        self._scanned_at = -SCAN_SECONDS  # a scan that is older than the group would not show who is left of it
        self._dismiss_groups()
        self._guardian.revive()  # in another program nobody else looks whether it has ended
        if self._reaped:
            self._reaped.unpark_all()

    def _reap_orphan(self, pid: int) -> None:
        if pid == self._guardian.pid:
            self._guardian.revive()
        else:
            os.waitpid(pid, os.WNOHANG)
            self._dismiss_groups()

    def _dismiss_groups(self) -> None:
        """Tell the guardian of the groups whose last member has gone: their numbers may be given away now."""
        for pid, child in list(self._leaderless.items()):
            if not child.has_group():
                del self._leaderless[pid]
                self._guardian.end(pid)


def _first_zombie() -> int | None:
    """Give the pid of a child that has ended. It stays a zombie."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # no child at all
        return None
    return None if found is None else found.si_pid
