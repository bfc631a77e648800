"""A server on another machine is just another argv: through a real sshd on loopback."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import leftovers
from .beacon import Beacon
from .codex import END_SECONDS, ROOT, SERVER, Codex, exit_code, said
from .responses import run
from .sshd import Sshd, sshd

pytestmark = pytest.mark.interop

MARK = "over-ssh"


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Sshd]:
    """A machine where `execserver` is on the PATH, and where nothing is left running by any test."""
    programs = tmp_path / "far-bin"
    programs.mkdir()
    program = programs / "execserver"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(SERVER)} "$@"\n')
    program.chmod(0o755)
    mark = f"{MARK}-{tmp_path}"
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        leftovers.MARK: mark,
    }
    with sshd(tmp_path / "sshd", environment) as daemon:
        yield daemon
        left = leftovers.wait_until_gone(mark, tmp_path, END_SECONDS)
        assert not left, f"still running on the other machine: {left}"


def test_codex_runs_its_commands_over_ssh(codex: Codex, far: Sshd) -> None:
    codex.server = far.ssh("execserver")
    done = codex.run([[run("echo $SSH_CONNECTION | cut -d' ' -f1; pwd; exit 3")]])
    assert said(done.outputs[0]) == f"127.0.0.1\n{codex.workspace}\n"
    assert exit_code(done.outputs[0]) == 3


def test_nothing_is_left_on_the_other_machine_when_codex_is_killed(codex: Codex, far: Sshd, beacon: Beacon) -> None:
    codex.server = far.ssh("execserver")
    with codex.started([[run("trap '' TERM HUP; sleep 300 & echo up > ../beacon; sleep 300")]]) as started:
        beacon.wait()
        started.process.kill()
