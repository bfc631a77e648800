"""How a connection begins and ends, with commands that are no good daemon: under every runtime that launches one."""

import io
import math
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import execserver.client.blocking
import execserver.client.facade
import execserver.client.sync
from execserver.client.core import ClientCore
from execserver.client.ending import Ending
from execserver.client.names import ClosedError, Disconnected, ExecServerError, ProtocolError, RpcError

from .runtimes import RUNTIMES, Runtime

REMOTE = [runtime for runtime in RUNTIMES if runtime.remote]

GREETING = """
import json, os, signal, sys, time
def say(**message): sys.stdout.write(json.dumps(message) + "\\n"); sys.stdout.flush()
def hear(): return json.loads(sys.stdin.readline())
def greet():
    say(id=hear()["id"], result={"sessionId": "s"})
    hear()
"""


def script(body: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", GREETING + body]


def under_every_runtime(test: Callable[[Runtime], Coroutine[Any, Any, None]]) -> Callable[[Runtime], None]:
    @pytest.mark.parametrize("runtime", REMOTE, ids=lambda runtime: runtime.name)
    def run(runtime: Runtime) -> None:
        runtime.run(test)

    run.__doc__ = test.__doc__
    return run


@under_every_runtime
async def test_a_banner_is_skipped(runtime: Runtime) -> None:
    body = "print('Welcome', flush=True); print('*' * 1000); greet(); say(id=hear()['id'], result=7); sys.stdin.read()"
    async with runtime.connect(script(body)) as server:
        assert await server.call("x") == 7


@under_every_runtime
async def test_the_beginning_and_the_end_may_take_for_ever(runtime: Runtime) -> None:
    async with runtime.connect(None, connect_timeout=math.inf, shutdown_timeout=math.inf) as server:
        await server.ping()


@under_every_runtime
async def test_a_command_that_cannot_speak_is_shown(runtime: Runtime) -> None:
    with pytest.raises(Disconnected) as caught:
        async with runtime.connect(["sh", "-c", "echo no execserver here; echo and this on stderr >&2; exit 127"]):
            raise AssertionError("unreachable")
    for part in ("sh exited with 127", "no execserver here", "and this on stderr"):
        assert part in caught.value.reason


@under_every_runtime
async def test_a_banner_without_an_end_is_given_up(runtime: Runtime) -> None:
    with pytest.raises(ProtocolError, match="sent no JSON"):
        async with runtime.connect(["yes", "login:"], preamble_limit=4096):
            raise AssertionError("unreachable")


@under_every_runtime
async def test_a_command_that_says_nothing_is_not_waited_for(runtime: Runtime) -> None:
    with pytest.raises(Disconnected, match=r"sh did not answer initialize within 0.3 s; it said 'password:'"):
        async with runtime.connect(["sh", "-c", "printf 'password: '; exec sleep 60"], connect_timeout=0.3):
            raise AssertionError("unreachable")


@under_every_runtime
async def test_a_command_that_does_not_exist_is_an_os_error(runtime: Runtime) -> None:
    with pytest.raises(FileNotFoundError):
        async with runtime.connect(["/no/such/command"]):
            raise AssertionError("unreachable")


@under_every_runtime
async def test_a_command_line_is_not_a_command(runtime: Runtime) -> None:
    with pytest.raises(TypeError, match="no shell"):
        async with runtime.connect("execserver"):
            raise AssertionError("unreachable")
    with pytest.raises(ValueError, match="command is empty"):
        async with runtime.connect([]):
            raise AssertionError("unreachable")


@under_every_runtime
async def test_a_server_that_refuses_the_handshake_says_why(runtime: Runtime) -> None:
    body = "say(id=hear()['id'], error={'code': -32600, 'message': 'too old'})"
    with pytest.raises(RpcError, match="too old"):
        async with runtime.connect(script(body)):
            raise AssertionError("unreachable")


@under_every_runtime
async def test_a_server_that_ignores_the_end_of_file_and_sigterm_is_killed(runtime: Runtime) -> None:
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN); greet(); say(id=hear()['id'], result=os.getpid())\n"
    body += "while True: time.sleep(1)"
    async with runtime.connect(script(body), shutdown_timeout=0.5) as server:
        pid = await server.call("pid")
        began = time.monotonic()
    assert time.monotonic() - began < 5
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@under_every_runtime
async def test_a_server_that_ends_by_itself_is_a_disconnect_with_its_last_words(runtime: Runtime) -> None:
    body = "greet(); hear(); sys.exit('out of luck')"
    async with runtime.connect(script(body)) as server:
        with pytest.raises(Disconnected, match="exited with 1; its stderr ends: out of luck") as caught:
            await server.call("x")
        assert server.disconnected == caught.value.reason


@under_every_runtime
async def test_a_server_killed_by_a_signal_without_a_name_is_a_disconnect(runtime: Runtime) -> None:
    body = "greet(); hear(); os.kill(os.getpid(), 40)"
    async with runtime.connect(script(body)) as server:
        with pytest.raises(Disconnected, match="was killed by signal 40"):
            await server.call("x")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_reading_thread_that_fails_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError("too much")

    with execserver.client.sync.connect(script("greet(); hear(); say(id=2, result=7); time.sleep(60)")) as server:
        monkeypatch.setattr(server._core, "feed", fail)
        with pytest.raises(Disconnected, match=r"the thread that reads from .* failed: MemoryError"):
            server.call("x")
        began = time.monotonic()
    assert time.monotonic() - began < 4  # the daemon is gone already


@under_every_runtime
async def test_a_server_that_closes_its_stdout_is_a_disconnect(runtime: Runtime) -> None:
    body = "greet(); hear(); os.close(1); time.sleep(60)"
    async with runtime.connect(script(body), shutdown_timeout=0.5) as server:
        with pytest.raises(Disconnected, match="closed the connection"):
            await server.call("x")


@under_every_runtime
async def test_a_server_that_closes_its_stdin_is_a_disconnect(runtime: Runtime) -> None:
    body = "greet(); os.close(0); time.sleep(60)"
    async with runtime.connect(script(body), shutdown_timeout=0.5) as server:
        with pytest.raises(Disconnected, match="closed the connection"):
            await server.call("x")  # whether the pipe took it just before or not


@under_every_runtime
async def test_leaving_the_block_of_a_process_is_bounded_whatever_the_server_does(runtime: Runtime) -> None:
    body = "greet(); start = hear(); say(id=start['id'], result={'processId': start['params']['processId']})\n"
    body += "time.sleep(60)"
    modules = (execserver.client.blocking, execserver.client.facade)
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            patch.setattr(module, "ENDING_SECONDS", 0.3)
        async with runtime.connect(script(body), shutdown_timeout=0.5) as server:
            began = time.monotonic()
            async with await server.start(["x"]):
                pass
            assert 0.2 < time.monotonic() - began < 5


@under_every_runtime
async def test_a_server_that_reads_nothing_blocks_no_reader_and_no_end(runtime: Runtime) -> None:
    body = "greet()\nfor n in range(10): say(method='tick', params=n)\nprint('!', flush=True); time.sleep(60)"
    async with runtime.connect(script(body), shutdown_timeout=0.5) as server:
        with pytest.raises(ProtocolError, match="garbage"):
            await server.call("x", "y" * 10_000_000)


@under_every_runtime
async def test_a_line_that_is_too_long_for_the_server_fails_and_hangs_nothing(runtime: Runtime) -> None:
    async with runtime.connect([sys.executable, "-m", "execserver", "--max-line-bytes", "10000"]) as server:
        process = await server.start(["cat"], stdin="pipe")
        with pytest.raises(RpcError, match="too long"):
            await process.write(b"x" * 20_000)
        await server.ping()


@under_every_runtime
async def test_what_the_daemon_gets_is_the_callers_choice(runtime: Runtime) -> None:
    body = "greet(); hear_id = hear()['id']; say(id=hear_id, result=[dict(os.environ), os.getcwd()])"
    async with runtime.connect(script(body), env={"A": "1"}, cwd="/usr") as server:
        environment, directory = await server.call("x")
    assert (environment["A"], "HOME" in environment, directory) == ("1", False, "/usr")


@under_every_runtime
async def test_a_daemon_whose_directory_was_removed_still_starts_what_needs_none(runtime: Runtime) -> None:
    directory = tempfile.mkdtemp()
    async with runtime.connect(cwd=directory) as server:
        os.rmdir(directory)
        assert (await server.run(["echo", "here"])).stdout == b"here\n"


def test_ctrl_c_interrupts_a_synchronous_wait_and_leaves_no_process() -> None:
    import subprocess

    program = """
import execserver.client.sync as client
try:
    with client.connect() as server:
        print(server.run(["sh", "-c", "echo $PPID"]).stdout.decode(), end="", flush=True)
        server.run(["sleep", "60"])
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child:
        daemon = int(child.stdout.readline())
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == "interrupted\n"
        assert child.wait(20) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(daemon, 0)


@pytest.mark.parametrize(("kind", "name"), [(ClientCore, "close"), (Ending, "advance")])
def test_ctrl_c_twice_ends_a_daemon_that_does_not_want_to(
    monkeypatch: pytest.MonkeyPatch, kind: type, name: str
) -> None:
    function = getattr(kind, name)
    caught: list[BaseException] = []
    other: list[threading.Thread] = []

    def interrupted(self: object) -> object:
        monkeypatch.undo()
        signal.raise_signal(signal.SIGINT)
        return function(self)

    def call(server: execserver.client.sync.Server) -> None:
        try:
            server.call("x")
        except ExecServerError as error:
            caught.append(error)

    def interrupt_twice(server: execserver.client.sync.Server) -> None:
        other.append(threading.Thread(target=call, args=[server], daemon=True))
        other[0].start()
        monkeypatch.setattr(kind, name, interrupted)
        signal.raise_signal(signal.SIGINT)

    body = "[signal.signal(number, signal.SIG_IGN) for number in (2, 15)]; greet(); hear(); time.sleep(60)"
    began = time.monotonic()
    with (
        pytest.raises(KeyboardInterrupt),
        execserver.client.sync.connect(script(body), shutdown_timeout=60) as server,
    ):
        interrupt_twice(server)
    other[0].join(20)
    assert [type(error) for error in caught] == [ClosedError]
    assert time.monotonic() - began < 10


def test_stderr_is_forwarded_only_if_asked(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    body = "print('warned', file=sys.stderr, flush=True); greet(); sys.stdin.read()"

    async def connect(runtime: Runtime, forward: bool) -> None:
        async with runtime.connect(script(body), forward_stderr=forward):
            pass

    for runtime in REMOTE:
        runtime.run(lambda runtime: connect(runtime, True))
        assert capfdbinary.readouterr().err == b"warned\n"
        runtime.run(lambda runtime: connect(runtime, False))
        assert capfdbinary.readouterr().err == b""


class Broken:
    """A stderr whose reader has gone."""

    @property
    def buffer(self) -> "Broken":
        return self

    def write(self, _: object) -> int:
        raise BrokenPipeError


@under_every_runtime
async def test_a_stderr_that_takes_nothing_ends_no_connection(runtime: Runtime) -> None:
    body = "greet(); number = hear()['id']; print('warned', file=sys.stderr, flush=True); say(id=number, result=7)\n"
    body += "hear(); sys.exit(3)"
    for stderr in (None, io.StringIO(), Broken()):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stderr", stderr)
            async with runtime.connect(script(body), forward_stderr=True) as server:
                assert await server.call("x") == 7
                with pytest.raises(Disconnected, match="exited with 3; its stderr ends: warned"):
                    await server.call("x")
