"""Real programs on a terminal, as a user of an agent would run them. Skipped where one is not installed."""

import os
import shutil
import sys

import pytest

from tests.daemon.wire_client import Client

ENV = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


async def test_an_interactive_python_talks(client: Client) -> None:
    env = {**ENV, "PYTHON_BASIC_REPL": "1", "TERM": "dumb"}
    await client.start("p", [sys.executable, "-i", "-q", "-S"], tty=True, env=env)
    await client.until_output("p", b">>> ")
    await client.write("p", b"print(6 * 7, 'ans' + 'wer')\n")
    await client.until_output("p", b"42 answer\r\n")
    # short sleeps: a signal that falls between the look for one and a sleep waits for the end of that sleep
    await client.write("p", b"import time; print('sle' + 'eping'); exec('while True: time.sleep(0.02)')\n")
    await client.until_output("p", b"sleeping\r\n")
    await client.write("p", b"\x03")
    await client.until_output("p", b"KeyboardInterrupt")
    # an end of input is lost if it comes before the prompt, while the terminal's mode is being changed
    await client.write("p", b"print('rea' + 'dy')\n")
    await client.until_output("p", b"ready\r\n>>> ")
    await client.write("p", b"", closeStdin=True)
    # some versions end as if by SIGINT when there was a KeyboardInterrupt before the end of input
    assert (await client.until_closed("p")).exit["exitCode"] in (0, 130)


@needs("vim")
async def test_vim_edits_a_file(client: Client, tmp_path: os.PathLike[str]) -> None:
    path = f"{tmp_path}/file"
    argv = ["vim", "-u", "NONE", "-N", "-n", "-i", "NONE", "--not-a-term", path]
    await client.start("p", argv, tty=True, env=ENV, size={"rows": 20, "cols": 60})
    await client.until_output("p", b"~")
    await client.write("p", b"ihello from vim\x1b")
    await client.until_output("p", b"hello from vim")
    await client.write("p", b":wq\r")
    assert (await client.until_closed("p")).exit["exitCode"] == 0
    assert (await client.run("q", ["cat", path])).stdout == b"hello from vim\n"


@needs("less")
async def test_less_pages_and_quits(client: Client) -> None:
    await client.sh("p", "seq 1000 | less", tty=True, env=ENV)
    await client.until_output("p", b"\n23\r\n")
    await client.write("p", b"G")
    await client.until_output("p", b"1000")
    await client.write("p", b"q")
    assert (await client.until_closed("p")).exit["exitCode"] == 0


@needs("top")
async def test_top_draws_and_quits(client: Client) -> None:
    await client.start("p", ["top", "-d", "1"], tty=True, env=ENV)
    await client.until_output("p", b"load average")
    await client.write("p", b"q")
    assert (await client.until_closed("p")).exit["exitCode"] == 0
