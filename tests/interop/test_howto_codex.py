"""docs/howto/use-with-codex.md does what it says: its snippets are what Codex is configured with here."""

import os
import re
import shlex
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from . import mcp
from .codex import ROOT, SERVER, Codex, ours_only, said
from .responses import call_mcp, run, when_offered

pytestmark = pytest.mark.interop

PAGE = (ROOT / "docs/howto/use-with-codex.md").read_text()


def snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def snippet(language: str, containing: str) -> str:
    [found] = [each for each in snippets(language) if containing in each]
    return found


@pytest.fixture
def installed(codex: Codex) -> Codex:
    """Codex as the page leaves it after step 3, with an `execserver` on its PATH."""
    bin_directory = codex.place / "bin"
    bin_directory.mkdir()
    program = bin_directory / "execserver"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(SERVER)} "$@"\n')
    program.chmod(0o755)
    codex.environments = snippet("toml", "include_local")
    return codex


def path_with(codex: Codex) -> dict[str, str]:
    return {"PATH": f"{codex.place / 'bin'}:{os.environ['PATH']}"}


def test_step_four_shows_the_server_as_the_parent_of_the_command(installed: Codex) -> None:
    [line] = snippets("sh")[1].splitlines()
    asked = re.search(r"output: (.*)'$", line)
    assert asked
    done = installed.run(
        [[run(asked[1])]], flags=[], settings=snippet("toml", "sandbox_mode"), env=path_with(installed)
    )
    assert said(done.outputs[0]).strip() == " ".join(SERVER)


def test_step_five_gives_the_model_the_tools_of_both_servers(installed: Codex) -> None:
    (installed.workspace / "notes.py").write_text(Path(mcp.__file__).read_text())
    with mcp.over_http() as port:
        notes = snippet("toml", "mcp_servers.notes").replace("/srv/project", str(installed.workspace))
        tickets = snippet("toml", "mcp_servers.tickets").replace("8080", str(port))
        both = [call_mcp("notes", "shout", text="quiet"), call_mcp("tickets", "shout", text="low")]
        done = installed.run(
            [when_offered(["notes", "tickets"], both)],
            model="some-model",
            flags=[],
            settings=snippet("toml", "sandbox_mode"),
            config=f"{notes}\n{tickets}",
            env=path_with(installed),
        )
    assert "QUIET" in done.outputs[-2]
    assert "LOW" in done.outputs[-1]


def test_the_recording_environment_records_both_directions(installed: Codex) -> None:
    recorded = snippet("toml", "recorded").replace("/tmp/", f"{installed.place}/")
    installed.environments = f'default = "recorded"\ninclude_local = false\n{recorded}'
    installed.run([[run("echo hi")]], flags=[], settings=snippet("toml", "sandbox_mode"), env=path_with(installed))
    assert '"process/start"' in (installed.place / "asked.jsonl").read_text()
    assert '"process/closed"' in (installed.place / "answered.jsonl").read_text()


@ours_only("the reference server has a sandbox")
def test_a_missing_sandbox_setting_is_the_first_row_of_the_table(installed: Codex) -> None:
    [output] = installed.run([[run("echo hi")]], flags=[], env=path_with(installed)).outputs
    assert "exec_command failed" in output
    assert "sandbox" in output


@pytest.mark.parametrize("program", [("no-such-program",), ("sh", "-c", "echo welcome; exec execserver")])
def test_a_missing_program_or_a_banner_is_the_second_row_of_the_table(installed: Codex, program: Sequence[str]) -> None:
    installed.server, installed.environments = program, ""
    [output] = installed.run([[run("echo hi")]], env=path_with(installed)).outputs
    assert "No usable execution environment is available" in PAGE
    assert "No usable execution environment is available" in output


@ours_only("the reference server has no extras")
def test_a_missing_extra_is_the_third_row_of_the_table_and_spoils_nothing_else(installed: Codex) -> None:
    without = "import sys; sys.modules['httpx'] = None; from execserver.cli import main; sys.exit(main([]))"
    wire = installed.place / "wire"
    installed.environments = ""
    installed.server = ("sh", "-c", 'tee "$0" | "$@"', str(wire), sys.executable, "-c", without)
    asked = run("until grep -q http/request ../wire; do sleep 0.05; done")
    with mcp.over_http() as port:
        tickets = snippet("toml", "mcp_servers.tickets").replace("8080", str(port)).replace("here", "mine")
        done = installed.run([[asked], [run("echo fine")]], config=tickets)
    assert said(done.outputs[1]) == "fine\n"
    assert "pip install execserver[http]" in done.stderr
    assert "pip install 'execserver[http]'" in PAGE


def test_every_other_snippet_is_a_valid_environment() -> None:
    environments = [tomllib.loads(each) for each in snippets("toml") if "[[environments]]" in each]
    assert len(environments) == 4
    for each in environments:
        [environment] = each["environments"]
        assert {"id", "program"} <= set(environment)
