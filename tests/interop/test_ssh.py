"""A server on another machine is just another argv: through a real sshd on loopback.

Nothing may be left running over there, whatever happens here: the fixture `far` looks for it after every test.
"""

import hashlib
import os
import signal
from pathlib import Path

import pytest
import trio

from execserver.client.trio import Closed, Disconnected, Exited, Output, Process, connect

from .beacon import Beacon
from .codex import Codex, exit_code, ours_only, said
from .responses import run
from .sshd import Sshd

pytestmark = pytest.mark.interop

SECONDS = 60  # each test takes two; this is for a machine with much else to do


@ours_only("the reference server gives no byte totals")
async def test_a_command_runs_on_the_other_side_of_ssh(far: Sshd, tmp_path: Path) -> None:
    with trio.fail_after(SECONDS):
        async with connect(far.ssh("execserver")) as server:
            result = await server.run(["sh", "-c", "pwd; echo $SSH_CONNECTION >&2; exit 3"], cwd=str(tmp_path))
    assert (result.exit_code, result.stdout.decode()) == (3, f"{tmp_path}\n")
    assert result.stderr.startswith(b"127.0.0.1 ")
    assert result.complete


@ours_only("the reference server cannot close stdin")
async def test_every_byte_value_passes_in_both_directions_unchanged(far: Sshd) -> None:
    data = bytes(range(256)) * 8192  # 2 MiB
    with trio.fail_after(SECONDS):
        async with connect(far.ssh("execserver")) as server:
            result = await server.run(["cat"], input=data)
    assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(data).digest()


@ours_only("the reference server has no sizes")
async def test_events_come_in_order_from_a_terminal_over_there(far: Sshd) -> None:
    with trio.fail_after(SECONDS):
        async with connect(far.ssh("execserver")) as server:
            process = await server.start(["sh", "-c", 'read -r a; echo "<$a>"; exit 4'], tty=(40, 120))
            await process.write(b"hello\n")
            events = [event async for event in process.events()]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert b"".join(event.data for event in events if isinstance(event, Output)) == b"hello\r\n<hello>\r\n"
    assert [type(event) for event in events[-2:]] == [Exited, Closed]


async def test_the_banner_of_a_login_is_skipped(far: Sshd) -> None:
    noisy = 'echo "Welcome to {far}"; echo; echo "you have mail" >&2; exec execserver'
    with trio.fail_after(SECONDS):
        async with connect(far.ssh(noisy)) as server:
            assert (await server.run(["echo", "hi"])).stdout == b"hi\n"


async def test_a_host_that_only_talks_is_shown_in_the_error(far: Sshd) -> None:
    with trio.fail_after(SECONDS), pytest.raises(Disconnected) as caught:
        async with connect(far.ssh("echo This account is closed; sleep 0.1")):
            pytest.fail("nobody is there")
    assert "This account is closed" in str(caught.value)


@pytest.mark.parametrize(
    ("command", "options", "reason"),
    [
        ("no-such-program", [], "no-such-program: command not found"),
        ("execserver", ["-o", "PubkeyAuthentication=no"], "Permission denied (publickey)"),
        ("execserver", ["-o", "Port=1"], "Connection refused"),
    ],
)
async def test_what_ssh_said_on_stderr_is_the_reason(far: Sshd, command: str, options: list[str], reason: str) -> None:
    with trio.fail_after(SECONDS), pytest.raises(Disconnected) as caught:
        async with connect(far.ssh(command, options=options)):
            pytest.fail("nobody is there")
    assert reason in caught.value.reason


@ours_only("the reference server leaves its children behind")
async def test_a_broken_connection_delivers_what_came_and_then_says_why(far: Sshd) -> None:
    received: list[bytes] = []

    async def follow(process: Process) -> None:
        async for event in process.events():
            assert isinstance(event, Output)
            received.append(event.data)
            for session in far.sessions():
                os.kill(session, signal.SIGKILL)

    with trio.fail_after(SECONDS):
        async with connect(far.ssh("execserver")) as server:
            process = await server.start(["sh", "-c", "trap '' TERM HUP; echo up; sleep 300 & wait"])
            with pytest.raises(Disconnected) as caught:
                await follow(process)
            assert server.disconnected is not None
            with pytest.raises(Disconnected):
                await server.ping()
    assert received == [b"up\n"]
    assert caught.value.last_seq == 1
    assert "ssh exited with 255" in caught.value.reason
    assert "closed by remote host" in caught.value.reason


async def test_leaving_the_block_ends_what_runs_over_there(far: Sshd) -> None:
    with trio.fail_after(SECONDS):
        async with connect(far.ssh("execserver")) as server:
            process = await server.start(["sh", "-c", "trap '' TERM HUP; (setsid sleep 300 &) ; echo up; sleep 300"])
            async for event in process.events():
                assert isinstance(event, Output)
                break


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
