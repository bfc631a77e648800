"""What the pages say about programs that are not ours, beside `use-with-codex.md`, which has tests of its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .codex import ROOT, SERVER, Codex, said
from .responses import run
from .test_howto_codex import path_with

pytestmark = pytest.mark.interop


def block(page: str, language: str, containing: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    [wanted] = [each for each in found if containing in each]
    return str(wanted)


def test_the_client_in_fifty_lines_drives_the_reference_server(binary: Path, tmp_path: Path) -> None:
    program = tmp_path / "tiny.py"
    program.write_text(block("docs/howto/write-another-client.md", "python", "# tiny.py"))
    command = [sys.executable, str(program), str(binary), "exec-server", "--listen", "stdio"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "(3, b'one\\ntwo\\n')\n"


def test_the_lines_of_the_readme_make_execserver_the_environment_of_codex(codex: Codex) -> None:
    programs = codex.place / "bin"
    programs.mkdir()
    program = programs / "execserver"
    program.write_text(f'#!/bin/sh\nexec {" ".join(SERVER)} "$@"\n')
    program.chmod(0o755)
    codex.environments = block("README.md", "toml", "include_local")
    done = codex.run([[run('tr "\\0" " " </proc/$PPID/cmdline')]], env=path_with(codex))
    assert said(done.outputs[0]).strip() == " ".join(SERVER)
