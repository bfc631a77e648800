import os
import shlex
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from . import leftovers
from .beacon import Beacon
from .codex import END_SECONDS, ROOT, SERVER, Codex
from .codex_binary import CURRENT, codex_binary
from .sshd import Sshd, sshd


@pytest.fixture(scope="session")
def binary() -> Path:
    return codex_binary(CURRENT)


@pytest.fixture
def codex(binary: Path, tmp_path: Path) -> Codex:
    return Codex(binary, tmp_path)


@pytest.fixture
def beacon(codex: Codex) -> Iterator[Beacon]:
    with closing(Beacon(codex.place / "beacon")) as beacon:
        yield beacon


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Sshd]:
    """A machine where `execserver` is on the PATH. Whatever a test does, nothing may be left running there."""
    programs = tmp_path / "far-bin"
    programs.mkdir()
    program = programs / "execserver"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(SERVER)} "$@"\n')
    program.chmod(0o755)
    mark = f"far-{tmp_path}"
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), leftovers.MARK: mark}
    with sshd(tmp_path / "sshd", environment) as daemon:
        yield daemon
        left = leftovers.wait_until_gone(mark, tmp_path, END_SECONDS)
        assert not left, f"still running on the other machine: {left}"
