"""docs/howto/over-ssh-and-docker.md does what it says: its programs run as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from execserver.client.trio import connect

from .codex import ROOT, SERVER, ours_only
from .sshd import Sshd

pytestmark = pytest.mark.interop

SECONDS = 60

PAGE = (ROOT / "docs/howto/over-ssh-and-docker.md").read_text()


def example(containing: str) -> str:
    programs: list[str] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    [found] = [each for each in programs if containing in each]
    return found


def run_with(stand_in: str, script: str, program: str, place: Path) -> str:
    """Run a program that finds the script under the name ``stand_in`` on its PATH; give its stdout."""
    directory = place / "stand-ins"
    directory.mkdir()
    (directory / stand_in).write_text(script)
    (directory / stand_in).chmod(0o755)
    env = {"PATH": f"{directory}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
    command = [sys.executable, "-c", program]
    return subprocess.check_output(command, env=env, text=True, timeout=SECONDS)


def test_the_ssh_example(far: Sshd, tmp_path: Path) -> None:
    real = far.ssh()[0]
    script = f'#!/bin/sh\nPATH={os.environ["PATH"]}\nexec {real} -F {far.client_configuration} "$@"\n'
    assert run_with("ssh", script, example('"ssh"'), tmp_path).startswith("from 127.0.0.1 ")


def test_the_docker_example(tmp_path: Path) -> None:
    script = f'#!/bin/sh\n[ "$*" = "exec -i box execserver" ] || exit 64\nexec {" ".join(SERVER)}\n'
    assert run_with("docker", script, example('"docker"'), tmp_path) == Path("/etc/hostname").read_text()


@ours_only("the reference server is no process 1")
async def test_the_server_may_be_process_one_of_a_container() -> None:
    walls = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    with trio.fail_after(SECONDS):
        if (await trio.run_process([*walls, "true"], capture_stderr=True, check=False)).returncode:
            pytest.skip("this machine lets nobody make a pid namespace")
        async with connect([*walls, *SERVER]) as server:
            result = await server.run(["sh", "-c", "sleep 0.1 & echo $PPID"])
            assert result.stdout == b"1\n"
            # its orphan is reaped: no zombie is left
            look = "while grep -q '^State:.Z' /proc/[0-9]*/status; do sleep 0.05; done"
            assert (await server.run(["sh", "-c", look], timeout=SECONDS)).exit_code == 0
