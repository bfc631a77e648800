"""Which zombies are reaped and which are left to their owners; what the guardian is told of groups."""

import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import trio

from execserver.server.descendants import Stat
from execserver.server.family import SCAN_SECONDS, Family
from execserver.server.kernel import child_signals
from tests.kernel import nothing_left, settled, task
from tests.support.real_child import SECONDS, ToldGuardian, ended, read_until, shell

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pidfds are Linux's")

# Leaves a process in a session of its own, and tells its number.
FLEE = "setsid sh -c 'echo $$; read go' <&3 &"


class Guarded:
    def __init__(self) -> None:
        self.guardian = ToldGuardian()
        self.family = Family(self.guardian)

    def ends(self) -> list[int]:
        return [pgid for what, pgid in self.guardian.told if what == "end"]


@asynccontextmanager
async def reaping_orphans(family: Family) -> AsyncIterator[int]:
    with child_signals() as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(family.reap_orphans, signals)
            yield signals
            nursery.cancel_scope.cancel()


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    """A family in a process that inherits orphans; nobody is left of it at the end."""
    with nothing_left():
        yield Guarded()


async def test_an_orphan_is_reaped_when_it_ends(guarded: Guarded) -> None:
    async with reaping_orphans(guarded.family):
        child = guarded.family.spawn(shell(f"exec 3<&0; {FLEE} wait $!", pipe_stdin=True))
        fled = int(await read_until(child.sources[0], b"\n"))
        child.signal_group(signal.SIGKILL)
        with trio.fail_after(SECONDS):
            await child.wait_ended()
        child.reap()
        child.report_reaped()
        found = task(fled)
        assert found is not None
        assert not found.zombie
        child.close_stdin()  # so it ends, and is nobody's
        await settled(lambda: task(fled) is None, "the orphan is reaped")
        child.close()


async def test_the_status_of_a_child_is_its_owners(guarded: Guarded) -> None:
    async with reaping_orphans(guarded.family):
        children = [guarded.family.spawn(shell(f"exit {code}")) for code in (3, 4, 5)]
        with trio.fail_after(SECONDS):
            for child in children:
                await child.wait_ended()
        for _ in range(10):
            await trio.lowlevel.checkpoint()  # SIGCHLD has come, for all of them or for each
        assert [(await ended(child)).exit_code for child in reversed(children)] == [5, 4, 3]


async def test_an_orphan_behind_an_owned_zombie_is_reaped_after_it(guarded: Guarded) -> None:
    async with reaping_orphans(guarded.family):
        child = guarded.family.spawn(shell("exec 3<&0; " + FLEE + " exit 7", pipe_stdin=True))
        fled = int(await read_until(child.sources[0], b"\n"))
        with trio.fail_after(SECONDS):
            await child.wait_ended()
        child.close_stdin()
        await settled(lambda: (found := task(fled)) is not None and found.zombie, "the orphan has ended")
        assert (await ended(child)).exit_code == 7
        await settled(lambda: task(fled) is None, "the orphan is reaped")


async def test_a_signal_that_another_thread_has_taken_is_not_lost(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reaping_orphans(guarded.family) as signals:
        read = os.read

        def read_too_late(fd: int, count: int) -> bytes:
            data = read(fd, count)
            if fd == signals:
                raise BlockingIOError
            return data

        monkeypatch.setattr(os, "read", read_too_late)
        orphan = os.posix_spawn("/bin/true", ["true"], {})  # noqa: ASYNC221 - it does not block
        await settled(lambda: task(orphan) is None, "the orphan is reaped")


async def test_a_zombie_is_left_alone_by_who_does_not_reap_orphans(guarded: Guarded) -> None:
    strange = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 7"], {})  # noqa: ASYNC221 - it does not block
    await settled(lambda: (found := task(strange)) is not None and found.zombie, "it has ended")
    await ended(guarded.family.spawn(shell("exit 0")))
    assert os.waitstatus_to_exitcode(os.waitpid(strange, 0)[1]) == 7  # noqa: ASYNC222 - it has ended


async def test_the_guardian_learns_of_the_end_of_a_group_when_its_last_member_has_gone(guarded: Guarded) -> None:
    async with reaping_orphans(guarded.family):
        alone = guarded.family.spawn(shell("exit 0"))
        await ended(alone)
        assert guarded.ends() == [alone.pid]
        leader = guarded.family.spawn(shell("sleep 1000 & exit 0"))
        with trio.fail_after(SECONDS):
            await leader.wait_ended()
        leader.reap()
        leader.report_reaped()
        other = guarded.family.spawn(shell("exit 0"))
        await ended(other)
        assert guarded.ends() == [alone.pid, other.pid]
        leader.signal_group(signal.SIGKILL)
        await settled(lambda: leader.pid in guarded.ends(), "the guardian is told")
        leader.close()


async def test_a_guardian_that_ends_is_revived_and_not_reaped_as_an_orphan(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    revived: list[int] = []
    pid = os.posix_spawn("/bin/true", ["true"], {})  # noqa: ASYNC221 - it does not block
    guarded.guardian.pid = pid

    def revive() -> None:
        if guarded.guardian.pid and os.waitpid(pid, os.WNOHANG)[0]:
            revived.append(pid)
            guarded.guardian.pid = 0

    monkeypatch.setattr(guarded.guardian, "revive", revive)
    async with reaping_orphans(guarded.family):
        await ended(guarded.family.spawn(shell("exit 0")))
        await settled(lambda: revived, "the guardian is revived")
    assert revived == [pid]


async def test_where_no_orphans_are_reaped_the_guardian_is_looked_for_when_a_child_is(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    revived = []
    monkeypatch.setattr(guarded.guardian, "revive", lambda: revived.append(True))
    child = guarded.family.spawn(shell("exit 0"))
    assert not revived
    await ended(child)
    assert revived


def test_one_scan_serves_for_all_groups_that_are_looked_for_at_a_time(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    there = [Stat(pid=pgid + 1000, parent=1, pgid=pgid, sid=pgid, started=7, name="sleep") for pgid in range(300)]
    scans: list[float] = []

    def scan() -> list[Stat]:
        scans.append(now)
        return there

    monkeypatch.setattr("execserver.server.family.time.monotonic", lambda: now)
    family = Family(guarded.guardian, scan)
    for one in there:
        assert family.find_members(one.pgid) == [one]
    assert scans == [100.0]
    now += SCAN_SECONDS
    family.find_members(1)
    assert scans == [100.0, now]
