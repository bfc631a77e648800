"""Families of real processes: those that stayed, those that left by setsid, those that left by a double fork.

Each test has its own subreaper process, `tests/children/family.py`, so that what flees does not flee to this machine's
init, and so that the families of two tests never mix. It tells the numbers of its processes on its standard output.
"""

import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from execserver.server import descendants
from execserver.server.descendants import Stat, family, kill_descendants, members, read_stat, scan, send

FAMILY = Path(__file__).parents[1] / "children" / "family.py"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")

SECONDS = 10  # far above what anything here takes; a busy machine is no failure


@contextmanager
def a_family(*members: str) -> Iterator[tuple[int, dict[str, int]]]:
    """Run a subreaper with these members; give its number and theirs. All are dead afterwards."""
    before = set(os.listdir("/proc/self/fd"))
    with subprocess.Popen([sys.executable, "-I", "-S", FAMILY, *members], stdout=subprocess.PIPE, text=True) as reaper:
        assert reaper.stdout is not None
        told = dict(reaper.stdout.readline().split() for _ in members)
        numbers = {name: int(number) for name, number in told.items()}
        try:
            yield reaper.pid, numbers
        finally:
            left = descendants.descendants(reaper.pid)
            reaper.kill()
            for stat in left:
                send(stat, signal.SIGKILL)
                wait_for_end(stat)
    assert set(os.listdir("/proc/self/fd")) == before


def wait_for_end(process: Stat) -> None:
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        now = read_stat(process.pid)
        if now is not None and now.started == process.started:
            assert select.select([descriptor], [], [], SECONDS)[0], f"{process} lives on"
    finally:
        os.close(descriptor)


def test_descendants_are_found_wherever_they_fled() -> None:
    with a_family("child", "grandchild", "setsid", "double_fork", "own_group") as (reaper, numbers):
        found = {stat.pid: stat for stat in descendants.descendants(reaper)}
        assert set(numbers.values()) <= set(found)
        assert found[numbers["setsid"]].sid == numbers["setsid"]
        assert found[numbers["own_group"]].pgid == numbers["own_group"]
        assert found[numbers["double_fork"]].parent == reaper
        assert os.getpid() not in found
        assert reaper not in found


def test_another_family_is_not_ours() -> None:
    with a_family("setsid") as (ours, _), a_family("setsid") as (_, theirs):
        assert theirs["setsid"] not in {stat.pid for stat in descendants.descendants(ours)}


def test_all_descendants_are_killed_and_told_and_the_spared_live() -> None:
    with a_family("child", "setsid", "double_fork", "own_group", "spared") as (reaper, numbers):
        stats = {name: read_stat(number) for name, number in numbers.items()}
        spared = stats.pop("spared")
        killed = {stat.pid for stat in kill_descendants(reaper, spare=[numbers["spared"]])}
        assert {stat.pid for stat in stats.values() if stat} <= killed
        for stat in stats.values():
            assert stat is not None
            wait_for_end(stat)
        assert numbers["spared"] not in killed
        assert read_stat(numbers["spared"]) == spared


def test_members_of_a_group_are_found_after_its_leader_was_reaped() -> None:
    with subprocess.Popen(
        [sys.executable, "-I", "-S", FAMILY, "child", "own_group"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as leader:
        assert leader.stdout is not None
        numbers = {name: int(number) for name, number in (leader.stdout.readline().split() for _ in range(2))}
        assert members(leader.pid, scan()) == [], "as long as there is a leader of that number it is another's"
        family = descendants.descendants(leader.pid)
        leader.kill()
        leader.wait()
        assert [stat.pid for stat in members(leader.pid, scan())] == [numbers["child"]]
        for stat in family:
            assert send(stat, signal.SIGKILL)
            wait_for_end(stat)
    assert members(leader.pid, scan()) == []


def test_without_a_descriptor_to_look_with_nobody_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def listdir(_: str) -> list[str]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "listdir", listdir)
    assert scan() == []


def test_a_number_that_was_reused_is_not_signalled() -> None:
    with a_family("child") as (_, numbers):
        child = read_stat(numbers["child"])
        assert child is not None
        assert not send(child._replace(started=child.started - 1), signal.SIGKILL)
        assert read_stat(child.pid) == child
        assert send(child, signal.SIGKILL)
        wait_for_end(child)


def test_what_has_ended_is_not_signalled_nor_found() -> None:
    child = os.posix_spawn("/bin/sh", ["sh", "-c", "read x"], {}, file_actions=[(os.POSIX_SPAWN_CLOSE, 0)])
    stat = wait_for_zombie(child)
    assert not send(stat, signal.SIGKILL)
    assert child not in {found.pid for found in scan()}
    os.waitpid(child, 0)
    assert not send(stat, signal.SIGKILL)
    assert read_stat(child) is None


def wait_for_zombie(child: int) -> Stat:
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    return Stat(child, os.getpid(), 0, 0, 0, "")


def test_a_name_full_of_parentheses_and_line_ends_is_read_whole(tmp_path: Path) -> None:
    program = tmp_path / ") S 1 (\n 1)"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "1000"]) as process:
        try:
            stat = read_stat(process.pid)
            assert stat is not None
            assert (stat.name, stat.parent, stat.pgid) == (program.name, os.getpid(), os.getpgrp())
            assert stat in scan()
        finally:
            process.kill()


def test_a_process_whose_first_thread_has_ended_is_alive() -> None:
    with a_family("headless") as (reaper, numbers):
        assert numbers["headless"] in {stat.pid for stat in descendants.descendants(reaper)}


def test_a_circle_of_reused_numbers_ends() -> None:
    def stat(pid: int, parent: int) -> Stat:
        return Stat(pid, parent, pid, pid, 0, "")

    assert family([1], [stat(2, 1), stat(3, 2), stat(1, 3), stat(4, 4)]) == [stat(2, 1), stat(3, 2)]


def test_without_proc_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: str) -> list[str]:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "listdir", missing)
    assert scan() == []


@pytest.mark.parametrize("failing", ["pidfd_open", "pidfd_send_signal"])
def test_a_process_of_another_user_is_not_signalled(monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    me = read_stat(os.getpid())
    assert me is not None
    owner: Callable[..., object] = os if failing == "pidfd_open" else signal  # type: ignore[assignment]
    monkeypatch.setattr(owner, failing, refuse)
    assert not send(me, signal.SIGKILL)
