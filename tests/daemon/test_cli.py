"""The command line of the daemon: what it takes, what it refuses, what it prints."""

import json
import subprocess

import pytest
import trio

from tests.daemon.launching import COMMAND, environment, launch


async def run(*args: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    with trio.fail_after(30):
        return await trio.run_process(
            [*COMMAND, *args], stdin=stdin, capture_stdout=True, capture_stderr=True, env=environment(), check=False
        )


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["serve"],
        ["--listen", "stdio"],
        ["--listen", "stdio://"],
        ["serve", "--listen", "stdio"],
        ["serve", "--listen=stdio://", "--max-line-bytes", "1000000"],
        ["serve", "--retain-bytes", "1", "--retain-seconds", "1.5", "--max-in-flight", "3", "--log-level", "error"],
    ],
    ids=" ".join,
)
async def test_every_spelling_of_serve_serves(args: list[str]) -> None:
    async with launch(*args) as client:
        assert (await client.run("p", ["echo", "hi"])).stdout == b"hi\n"


@pytest.mark.parametrize(
    "url", ["tcp://127.0.0.1:0", "ws://127.0.0.1:1", "unix:///tmp/x", "", "http://x", "stdio:///x"]
)
async def test_any_other_listen_url_is_refused_in_words(url: str) -> None:
    done = await run("--listen", url)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"listen" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "args",
    [
        ["--max-line-bytes", "none"],
        ["--max-line-bytes", "-1"],
        ["--retain-bytes", "1.5"],
        ["--retain-seconds", "-1"],
        ["--retain-seconds", "nan"],
        ["--max-in-flight", "-1"],
        ["--log-level", "shout"],
        ["--no-such-option"],
        ["no-such-command"],
        ["run"],
    ],
    ids=" ".join,
)
async def test_nonsense_on_the_command_line_is_a_usage_error(args: list[str]) -> None:
    done = await run(*args)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr
    assert b"Traceback" not in done.stderr


async def test_help_and_version_are_printed() -> None:
    done = await run("--help")
    assert (done.returncode, b"serve" in done.stdout) == (0, True)
    done = await run("--version")
    assert (done.returncode, b"." in done.stdout) == (0, True)


async def test_run_passes_on_output_and_exit_code() -> None:
    done = await run("run", "--", "sh", "-c", "echo out; echo err >&2; exit 5")
    assert (done.returncode, done.stdout, done.stderr) == (5, b"out\n", b"err\n")


async def test_run_passes_on_death_by_a_signal() -> None:
    done = await run("run", "--", "sh", "-c", "kill -KILL $$")
    assert done.returncode == 137


async def test_run_is_byte_exact() -> None:
    done = await run("run", "--", "head", "-c", "3000000", "/dev/zero")
    assert (done.returncode, done.stdout) == (0, b"\0" * 3_000_000)


async def test_run_says_why_nothing_ran() -> None:
    done = await run("run", "--", "/no/such/program")
    assert done.returncode in (126, 127)
    assert b"/no/such/program" in done.stderr
    assert b"Traceback" not in done.stderr


async def test_run_verbose_prints_the_numbered_events() -> None:
    done = await run("run", "--verbose", "--", "sh", "-c", "echo hello; exit 3")
    assert done.returncode == 3
    text = (done.stdout + done.stderr).decode()
    for word in ("hello", "exited", "closed", "1", "2", "3"):
        assert word in text, text


async def test_schema_prints_the_document_that_discover_answers() -> None:
    done = await run("schema")
    assert (done.returncode, done.stderr) == (0, b"")
    document = json.loads(done.stdout)
    async with launch() as client:
        assert await client.request("rpc.discover") == document
