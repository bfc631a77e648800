"""The guardian, with real processes: a holder (`tests/children/holder.py`) stands for the daemon and is killed.

Every child of the holder inherits one end of a pipe; at its end of file the last of them is gone. The promise is two
seconds (wire, section 5).
"""

import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from execserver.server.descendants import read_stat
from execserver.server.guardian import Guardian
from execserver.server.ledger import link_of

TESTS = Path(__file__).parents[1]
PROMISE = 2.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guardian looks through /proc")


@contextmanager
def a_holder(*what: str) -> Iterator[tuple["subprocess.Popen[str]", int, list[int]]]:
    """Run a holder until it is ready; give it, the end of the pipe that tells its children's end, and what it told."""
    before = set(os.listdir("/proc/self/fd"))
    alive, theirs = os.pipe()
    argv = [sys.executable, str(TESTS / "children" / "holder.py"), str(TESTS.parent), str(theirs), *what]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, pass_fds=[theirs]) as holder:
        os.close(theirs)
        try:
            assert holder.stdout is not None
            yield holder, alive, [int(word) for word in holder.stdout.readline().split()]
        finally:
            holder.kill()
            ended = ends_within(alive, PROMISE)
            os.close(alive)
    assert ended
    assert set(os.listdir("/proc/self/fd")) == before


def ends_within(descriptor: int, seconds: float) -> bool:
    """Wait for the end of a pipe, or of the process of a pidfd."""
    return bool(select.select([descriptor], [], [], seconds)[0])


@pytest.mark.parametrize("count", [1, 40])
def test_groups_that_ignore_term_and_hup_end_with_the_daemon_and_one_that_had_ended_is_spared(count: int) -> None:
    with a_holder("groups", str(count)) as (holder, alive, (guardian, spared)):
        guardian_end, spared_end = os.pidfd_open(guardian), os.pidfd_open(spared)
        assert not ends_within(alive, 0)
        holder.kill()
        try:
            assert ends_within(alive, PROMISE)
            assert ends_within(guardian_end, PROMISE)
            assert not ends_within(spared_end, 0)
            stat = Path(f"/proc/{spared}/stat").read_text()
            assert stat.rpartition(")")[2].split()[0] != "T"
        finally:
            os.killpg(spared, signal.SIGKILL)
            assert ends_within(spared_end, PROMISE)
            os.close(guardian_end)
            os.close(spared_end)


def test_a_child_whose_number_the_daemon_had_no_time_to_tell_ends_with_it() -> None:
    with a_holder("intent") as (holder, alive, _):
        assert not ends_within(alive, 0)
        holder.kill()
        assert ends_within(alive, PROMISE)


def test_what_left_its_group_ends_with_the_daemon() -> None:
    with a_holder("fled") as (holder, alive, _):
        assert not ends_within(alive, 0)
        holder.kill()
        assert ends_within(alive, PROMISE)


@pytest.mark.parametrize("seed", range(12))
def test_a_daemon_killed_at_any_instant_leaves_nobody(seed: int) -> None:
    with a_holder("storm") as (holder, alive, _):
        time.sleep(random.Random(seed).uniform(0, 0.02))  # the instant; nothing is waited for
        holder.kill()
        assert ends_within(alive, PROMISE)


def test_signals_that_end_a_daemon_do_not_end_the_guardian() -> None:
    with a_holder("groups", "1") as (holder, alive, (guardian, spared)):
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
            os.kill(guardian, number)
        assert os.getsid(guardian) == guardian
        holder.kill()
        assert ends_within(alive, PROMISE)
        os.killpg(spared, signal.SIGKILL)


def test_without_the_package_the_shell_kills_the_groups_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with guarded_child(Guardian()) as (guardian, child):
        guardian.close()
        assert ends_within(child, PROMISE)


@contextmanager
def guarded_child(guardian: Guardian) -> Iterator[tuple[Guardian, int]]:
    """A deaf child of this very process under ``guardian``; gives its pidfd."""
    before = set(os.listdir("/proc/self/fd"))
    ours, theirs = os.pipe()
    guardian.intend(link_of(theirs))
    script = "trap '' TERM HUP; echo; while :; do sleep 1000; done"
    with subprocess.Popen(["/bin/sh", "-c", script], stdout=theirs, start_new_session=True) as child:
        guardian.begin(link_of(theirs), child.pid)
        assert os.read(ours, 1) == b"\n"
        os.close(ours)
        os.close(theirs)
        end = os.pidfd_open(child.pid)
        try:
            yield guardian, end
        finally:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            guardian.close()
            os.close(end)
    assert set(os.listdir("/proc/self/fd")) == before


def test_closing_ends_what_had_not_ended_and_leaves_no_guardian() -> None:
    with guarded_child(Guardian()) as (guardian, child):
        pid = guardian.pid
        guardian.close()
        assert ends_within(child, PROMISE)
        assert guardian.pid == 0
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, 0)


def test_closing_after_every_group_has_ended_touches_none_and_takes_no_time() -> None:
    with guarded_child(Guardian()) as (guardian, child):
        guardian.end(os.getpgid(child_of(child)))
        guardian.end(12345)  # not known, no error
        began = time.monotonic()
        guardian.close()
        guardian.close()
        assert time.monotonic() - began < 0.5
        assert not ends_within(child, 0)


def child_of(pidfd: int) -> int:
    """The process of a pidfd."""
    lines = Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pid:"))


@pytest.mark.parametrize("by", ["intend", "revive"])
def test_a_guardian_that_was_killed_is_replaced_and_the_new_one_knows_all(
    by: str, caplog: pytest.LogCaptureFixture
) -> None:
    with guarded_child(Guardian()) as (guardian, child):
        first = guardian.pid
        os.kill(first, signal.SIGKILL)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        if by == "intend":
            guardian.intend("pipe:[0]")
            guardian.failed("pipe:[0]")
        else:
            guardian.revive()
            guardian.revive()
        assert guardian.pid != first
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        guardian.close()
        assert ends_within(child, PROMISE)


def test_a_guardian_that_somebody_reaped_is_replaced() -> None:
    with guarded_child(Guardian()) as (guardian, child):
        first = guardian.pid
        os.kill(first, signal.SIGKILL)
        os.waitpid(first, 0)
        guardian.revive()
        assert guardian.pid not in (0, first)
        guardian.close()
        assert ends_within(child, PROMISE)


def test_a_guardian_that_died_is_closed_all_the_same() -> None:
    with guarded_child(Guardian()) as (guardian, child):
        os.kill(guardian.pid, signal.SIGKILL)
        os.waitid(os.P_PID, guardian.pid, os.WEXITED | os.WNOWAIT)
        guardian.close()
        assert not ends_within(child, 0)


def test_the_guardian_holds_nothing_but_its_pipe_and_its_ledger() -> None:
    inherited, _ = pair = os.pipe()
    os.set_inheritable(inherited, True)
    try:
        with guarded_child(Guardian()) as (guardian, _):
            until = time.monotonic() + PROMISE
            while os.readlink(f"/proc/{guardian.pid}/cwd") != "/":  # the shell's first steps
                assert time.monotonic() < until
                os.sched_yield()
            held = {fd: os.readlink(f"/proc/{guardian.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{guardian.pid}/fd")}
            assert held.keys() == {"0", "1", "2", "3"}
            assert held["1"] == held["2"] == "/dev/null"
            assert link_of(inherited) not in held.values()
            stat = read_stat(guardian.pid)
            assert stat is not None
            assert stat.sid == stat.pid
    finally:
        for descriptor in pair:
            os.close(descriptor)


def test_nothing_is_started_before_the_first_child() -> None:
    guardian = Guardian()
    guardian.revive()
    guardian.end(1)
    guardian.close()
    assert guardian.pid == 0


def test_without_a_shell_python_is_the_guardian(monkeypatch: pytest.MonkeyPatch) -> None:
    spawn = os.posix_spawn

    def no_shell(path: str, *args: object, **options: object) -> int:
        if path == "/bin/sh":
            raise FileNotFoundError(path)
        return spawn(path, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "posix_spawn", no_shell)
    with guarded_child(Guardian()) as (guardian, child):
        guardian.close()
        assert ends_within(child, PROMISE)


def test_when_no_guardian_can_be_started_the_spawn_must_not_happen(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def nothing(path: str, *_: object, **__: object) -> int:
        raise FileNotFoundError(path)

    before = set(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "posix_spawn", nothing)
    guardian = Guardian()
    with pytest.raises(FileNotFoundError):
        guardian.intend("pipe:[0]")
    guardian.revive()
    assert [record.levelname for record in caplog.records if record.levelname != "INFO"] == ["ERROR"]
    guardian.close()
    assert set(os.listdir("/proc/self/fd")) == before
