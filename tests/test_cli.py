"""The command line: what each spelling asks for. (What the daemon does with it: tests/daemon.)"""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from execserver import __version__, cli, run, schema
from execserver.server import daemon
from execserver.server.limits import DEFAULTS, Limits


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Limits, str]]:
    calls: list[tuple[Limits, str]] = []

    def run_daemon(limits: Limits = DEFAULTS, *, log_level: str = "warning") -> None:
        calls.append((limits, log_level))

    monkeypatch.setattr(daemon, "run_daemon", run_daemon)
    return calls


@pytest.mark.parametrize(
    "arguments", [[], ["serve"], ["--listen", "stdio"], ["serve", "--listen", "stdio://"], ["--log-level=warning"]]
)
def test_serving_with_the_defaults_is_the_default(served: list[Any], arguments: list[str]) -> None:
    assert cli.main(arguments) == 0
    assert served == [(DEFAULTS, "warning")]


def test_every_limit_can_be_set(served: list[Any]) -> None:
    cli.main(
        ["--max-line-bytes=1", "--max-in-flight=2", "--retain-bytes=0", "--retain-seconds=0.5", "--log-level=debug"]
    )
    assert served == [(Limits(1, 2, 0, 0.5), "debug")]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--listen", "ws://127.0.0.1:1"],
        ["--max-line-bytes", "0"],
        ["--max-line-bytes", "-1"],
        ["--max-line-bytes", "1.5"],
        ["--max-in-flight", "\u0661"],
        ["--retain-bytes", "1_000"],
        ["--retain-seconds", "-1"],
        ["--retain-seconds", "nan"],
        ["--retain-seconds", "inf"],
        ["--retain-seconds", "soon"],
        ["--log-level", "loud"],
        ["--unknown"],
        ["explode"],
        ["run"],
    ],
)
def test_nonsense_is_a_usage_error(served: list[Any], arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert (caught.value.code, served) == (2, [])
    assert "usage: execserver" in capsys.readouterr().err


def test_the_version_and_help_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert (caught.value.code, capsys.readouterr().out) == (0, f"execserver {__version__}\n")
    with pytest.raises(SystemExit) as caught:
        cli.main(["-h"])
    assert caught.value.code == 0
    assert "serve" in capsys.readouterr().out


def test_run_takes_the_rest_as_the_command_and_its_exit_code_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def run_command(argv: list[str], *, verbose: bool) -> int:
        calls.append((argv, verbose))
        return 3

    monkeypatch.setattr(run, "run", run_command)
    assert cli.main(["run", "--", "ls", "-l", "--verbose"]) == 3
    assert cli.main(["run", "--verbose", "ls"]) == 3
    assert calls == [(["ls", "-l", "--verbose"], False), (["ls"], True)]


def test_run_says_in_a_line_that_its_daemon_has_died() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "execserver", "run", "--", "sh", "-c", "kill -9 $PPID; exec sleep 60"],
        stderr=subprocess.PIPE,
        timeout=60,
        text=True,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "was killed by SIGKILL" in done.stderr


def test_schema_prints_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(schema.openrpc()))


def test_schema_ends_in_silence_when_its_reader_has_gone() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "execserver", "schema"], stdout=writing, stderr=subprocess.PIPE, timeout=60
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_without_arguments_of_its_own_it_takes_those_of_the_program(
    served: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["execserver", "serve", "--max-in-flight", "7"])
    assert cli.main() == 0
    assert served[0][0].max_in_flight == 7
