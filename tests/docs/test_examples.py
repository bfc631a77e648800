"""Every example of every page runs, in the order of the page, and prints what the page says it prints.

A page's examples share one directory. `python` and `execserver` are this interpreter and this source tree.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from .pages import PAGES, ROOT, Block, blocks, name

ATTEMPTS = 3
SECONDS = 60.0  # for one block; the slowest takes 3
_MARK = "--- end of a command of the documentation ---"

RUN_ELSEWHERE = {"docs/howto/use-with-codex.md"}  # tests/interop/test_howto_codex.py: with a real Codex

examples = [
    page for page in PAGES if name(page) not in RUN_ELSEWHERE and any(b.language != "text" for b in blocks(page))
]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    bin_directory = tmp_path / "bin"
    bin_directory.mkdir()
    interpreter = shlex.quote(sys.executable)
    make = shlex.join([shutil.which("make") or "make", "--no-print-directory", "-C", str(ROOT)])
    programs = {
        "python": f'exec {interpreter} "$@"',
        "execserver": f'exec {interpreter} -m execserver "$@"',
        # What `make` sets up is this interpreter; nothing is installed.
        "make": f'exec {make} READY= BIN={shlex.quote(str(bin_directory))} "$@"',
    }
    for program, command in programs.items():
        (bin_directory / program).write_text(f"#!/bin/sh\n{command}\n")
        (bin_directory / program).chmod(0o755)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))},
        "PATH": f"{bin_directory}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "80",
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",  # readers have a terminal: what a program prints is there when it is printed
    }


@pytest.mark.parametrize("page", examples, ids=name)
def test_every_example_of_a_page_prints_what_the_page_says(
    page: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    shell = Shell(tmp_path, environment)
    found = [block for block in blocks(page) if block.not_run is None]
    for number, block in enumerate(found):
        if block.file_name is not None:
            (shell.directory / block.file_name).write_text(block.text)
        elif block.language == "python":
            behind = next((later for later in found[number:] if later.language != "python"), None)
            shown = behind.text if behind is not None and behind.language == "text" else None
            shell.hold(block, partial(shell.run_program, block, shown))
        elif block.language == "console":
            shell.hold(block, partial(shell.run_console, block))
        elif block.language == "sh":
            shell.run(["bash", "-e", "-c", block.text], block, must_succeed=True)


class Shell:
    """Where the examples of one page run."""

    def __init__(self, place: Path, environment: dict[str, str]) -> None:
        self.programs = place / "bin"
        self.directory = place / "work"
        self.directory.mkdir()
        self.environment = environment

    def hold(self, block: Block, attempt: Callable[[], list[tuple[str | None, str]]]) -> None:
        """Compare what is shown with what is printed. On a busy machine two chunks may come as one: try again."""
        for _ in range(ATTEMPTS):
            wrong = [
                (shown, printed) for shown, printed in attempt() if shown is not None and not matches(shown, printed)
            ]
            if not wrong:
                return
        for shown, printed in wrong:
            pytest.fail(f"{block.place} says\n{shown}\nbut what is printed is\n{printed}")

    def run_program(self, block: Block, shown: str | None) -> list[tuple[str | None, str]]:
        (self.directory / "example.py").write_text(block.text)
        return [(shown, self.run(["python", "example.py"], block, must_succeed=True))]

    def run_console(self, block: Block) -> list[tuple[str | None, str]]:
        """Run the commands of a block in one shell; give what each should print, and what it prints."""
        commands: list[str] = []
        shown: list[str] = []
        for line in block.text.splitlines(keepends=True):
            if line.startswith("$ "):
                commands.append(line[2:])
                shown.append("")
            elif line.startswith("> ") and not shown[-1]:
                commands[-1] += line[2:]
            else:
                shown[-1] += line
        script = "".join(f"{command}status=$?\necho '{_MARK}'\n(exit $status)\n" for command in commands)
        printed = self.run(["bash", "-c", script], block).split(f"{_MARK}\n")[:-1]
        assert len(printed) == len(commands), f"{block.place}: the shell ended early"
        return list(zip(shown, printed, strict=True))

    def run(self, argv: list[str], block: Block, *, must_succeed: bool = False) -> str:
        try:
            done = subprocess.run(
                argv,
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as expired:
            pytest.fail(f"{block.place} does not end; it has printed\n{(expired.stdout or b'').decode()}")
        printed = done.stdout.decode().replace(str(self.programs), ".venv/bin")
        if must_succeed and done.returncode != 0:
            pytest.fail(f"{block.place} fails with {done.returncode}:\n{printed}")
        return printed


def matches(expected: str, printed: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in normalised(expected).split("..."))
    return re.fullmatch(pattern, normalised(printed), re.DOTALL) is not None


def normalised(text: str) -> str:
    """Put one word in place of what differs from run to run: ids, process numbers, times."""
    text = re.sub(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b[0-9a-f]{32}\b", "ID", text)
    text = re.sub(r"\b(pid[ =:\"]+)\d+", r"\1NUMBER", text)
    text = re.sub(r"\b\d+\.\d+( ?m?s\b| seconds?\b)", "TIME", text)
    text = re.sub(r"\b((?:duration|user|system)=)\d+(\.\d+)?(e-\d+)?", r"\1TIME", text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("1 output\n", "1 output\n", True),
        ("1 output\n", "2 output\n", False),
        ("a pid 17", "a pid 4711", True),
        ("took 0.1 s", "took 12.25 s", True),
        ("first\n...\nlast", "first\nmuch\nmore\nlast", True),
        ("first\n...\nlast", "first\nmuch\nmore\n", False),
        ("", "anything", False),
    ],
)
def test_only_ids_numbers_of_processes_times_and_dots_may_differ(expected: str, printed: str, same: bool) -> None:
    assert matches(expected, printed) is same
