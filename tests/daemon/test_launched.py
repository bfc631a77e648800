"""A daemon is right however it was launched: with little allowed, with signals set, with nothing open."""

import base64
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from execserver.server.scheduling import SLICE_NANOSECONDS, read_attributes
from tests.daemon.launching import COMMAND, environment, launch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits are read from /proc")


def given_limit(pid: int) -> list[str]:
    """The soft limit of open descriptors of a process, and the hard one."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line for line in lines if line.startswith("Max open files")).split()[3:5]


def slice_of(pid: int) -> int:
    """Nanoseconds."""
    attributes = read_attributes(pid)
    return 0 if attributes is None else int(attributes.slice)  # as before Linux 6.12


async def test_more_processes_run_than_the_soft_limit_of_descriptors_has_room_for() -> None:
    wrapper = ["sh", "-c", 'ulimit -S -n 64; exec "$@"', "sh"]
    async with launch(wrapper=wrapper) as client:
        hard = given_limit(client.pid)[1]
        for number in range(50):  # of three descriptors each
            started = await client.start(f"p{number}", ["sleep", "1000"])
            assert given_limit(started["pid"]) == ["64", hard]
        client.survivors_allowed = True  # the end of the session stops them


async def test_a_thread_that_was_there_before_takes_no_end_of_a_child_from_the_daemon(tmp_path: Path) -> None:
    begin = "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n"
    (tmp_path / "sitecustomize.py").write_text(begin)  # as that of whatever instruments interpreters
    async with launch(env=environment(PYTHONPATH=f"{tmp_path}{os.pathsep}{environment()['PYTHONPATH']}")) as client:
        assert len(list(Path(f"/proc/{client.pid}/task").iterdir())) == 2
        for number in range(100):
            await client.run(f"p{number}", ["true"])
        await client.run("leaves", ["sh", "-c", "setsid sh -c 'exec >/dev/null 2>&1; sleep 0.1' &"])


@pytest.mark.parametrize("nice", [0, 5, -5])  # the last needs root, and without it is as the first
async def test_the_daemon_asks_for_short_slices_for_itself_alone(nice: int) -> None:
    usual = slice_of(0)
    async with launch(wrapper=["nice", "-n", str(nice)]) as client:
        started = await client.start("p", ["sleep", "1000"])
        given = os.getpriority(os.PRIO_PROCESS, client.pid)
        assert slice_of(client.pid) == (min(usual, SLICE_NANOSECONDS) if given >= 0 else usual)  # 0 before Linux 6.12
        assert slice_of(started["pid"]) == usual
        assert os.getpriority(os.PRIO_PROCESS, started["pid"]) == given
        client.survivors_allowed = True  # the end of the session stops it


async def test_another_policy_of_the_scheduler_is_left_alone_and_inherited() -> None:
    policy = "os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))"
    choose = f"import os, sys; {policy}; os.execvp(sys.argv[1], sys.argv[1:])"
    async with launch(wrapper=[sys.executable, "-c", choose]) as client:
        started = await client.start("p", ["sleep", "1000"])
        assert slice_of(client.pid) == slice_of(0)
        assert os.sched_getscheduler(started["pid"]) == os.SCHED_BATCH
        client.survivors_allowed = True  # the end of the session stops it


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_standard_descriptor_that_is_closed_is_as_good_as_dev_null(closed: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(),
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


async def test_a_file_above_the_limit_of_its_size_is_refused_and_the_daemon_lives(tmp_path: Path) -> None:
    wrapper = ["sh", "-c", 'ulimit -f 8; exec "$@"', "sh"]
    async with launch(wrapper=wrapper) as client:
        content = base64.b64encode(bytes(100_000)).decode()
        refusal = await client.refused("fs/writeFile", path=str(tmp_path / "large"), dataBase64=content)
        assert refusal.data["kind"] == "tooLarge"
        life = await client.run("p", ["sh", "-c", f"head -c 100000 /dev/zero > {tmp_path / 'larger'}"])
        assert life.exit["exitCode"] == 128 + signal.SIGXFSZ, "the child has SIGXFSZ at its default"
        assert not (tmp_path / "large").exists()


@pytest.mark.parametrize("locale", [{}, {"LC_CTYPE": "C.UTF-8"}])
async def test_a_child_finds_the_environment_that_the_daemon_was_given(locale: dict[str, str]) -> None:
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": environment()["PYTHONPATH"], **locale}
    async with launch(env=given) as client:
        life = await client.run("p", ["env", "-0"])
        assert dict(line.split("=", 1) for line in life.stdout.decode().split("\0") if line) == given
