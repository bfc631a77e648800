"""The server in this very process. What it shares with a daemon is compared with a daemon; the rest is its own.

Everything is under a clock, and everything here runs real children.
"""

import base64
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trio

import execserver.client.trio
import execserver.local
from execserver.client.errors import ClosedError, RpcError, StartError
from execserver.client.events import Closed, Event, Exited, Output
from execserver.client.facade import Process, Server
from execserver.server.limits import Limits

from .client.bounded import bounded
from .kernel import settled, task

Connect = Callable[[], AbstractAsyncContextManager[Server]]
Command = Callable[[Server], Awaitable[Any]]


# One list of commands, and what they come to, here and in a daemon


def what_counts(events: list[Event]) -> list[object]:
    """The events, without what differs from run to run, and with neighbours joined: the kernel cuts as it likes."""
    joined: list[Any] = []
    for event in events:
        match event:
            case Output(_, stream, data) if joined and joined[-1][0] == stream:
                joined[-1] = (stream, joined[-1][1] + data)
            case Output(_, stream, data):
                joined.append((stream, data))
            case Exited(_, exit_code, signal_name, reason, duration, usage):
                joined.append(("exited", exit_code, signal_name, reason, duration is None, usage is None))
            case Closed(_, reason, stdout_bytes, stderr_bytes):
                joined.append(("closed", reason, stdout_bytes, stderr_bytes))
            case _:
                joined.append(event)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    return joined


async def follow(process: Process) -> list[object]:
    return what_counts([event async for event in process.events()])


def shell(script: str, **options: Any) -> Command:
    async def command(server: Server) -> object:
        return await follow(await server.start(["sh", "-c", script], **options))

    return command


def refused(*argv: str, **options: Any) -> Command:
    async def command(server: Server) -> object:
        with pytest.raises(StartError) as caught:
            await server.start(argv, **options)
        return caught.value.code, caught.value.kind, caught.value.errno, str(caught.value)

    return command


async def fed(server: Server) -> object:
    process = await server.start(["cat"], stdin="pipe")
    await process.write(b"one\n")
    await process.write(b"two\n")
    await process.close_stdin()
    return await follow(process)


async def terminated(server: Server) -> object:
    process = await server.start(["sh", "-c", "echo ready; exec sleep 1000"])
    async for event in process.events():
        if isinstance(event, Output):
            await process.terminate()
    return await follow(process)


async def interrupted_on_a_terminal(server: Server) -> object:
    process = await server.start(["sh", "-c", "echo ready; exec sleep 1000"], tty=True)
    async for event in process.events():
        if isinstance(event, Output) and b"ready" in event.data:
            await process.signal("interrupt")
    return await follow(process)


async def run_with_input(server: Server) -> object:
    result = await server.run(["sort"], input=b"b\na\n")
    return result.exit_code, result.stdout, result.stderr, result.complete


async def unknown_method(server: Server) -> object:
    with pytest.raises(RpcError) as caught:
        await server.call("no/such")
    return caught.value.code, str(caught.value)


async def features(server: Server) -> object:
    capabilities = server.info.capabilities
    assert capabilities is not None
    return sorted(capabilities.methods), sorted(capabilities.extensions)


COMMANDS: dict[str, Command] = {
    "nothing": shell("true"),
    "an exit code": shell("exit 3"),
    "stdout": shell("echo out"),
    "stderr": shell("echo err >&2"),
    "a megabyte": shell("head -c 1000000 /dev/zero"),
    "merged streams": shell("echo one; echo two >&2; echo three", merge_stderr=True),
    "an environment": shell("env | sort", env={"PATH": os.environ["PATH"], "A": "b"}),
    "a directory": shell("pwd", cwd="/usr"),
    "a death by signal": shell("kill -KILL $$"),
    "a terminal": shell("stty size; tty >/dev/null && echo yes", tty=(30, 100)),
    "a timeout": shell("echo before; exec sleep 1000", timeout=0.3),
    "an idle timeout": shell("exec sleep 1000", idle_timeout=0.2),
    "a descendant on the pipe": shell("sleep 1000 & echo parent", drain=0.2),
    "no such program": refused("/no/such/program"),
    "no such directory": refused("true", cwd="/no/such/directory"),
    "a NUL": refused("tr\0ue"),
    "stdin": fed,
    "a termination": terminated,
    "an interrupt": interrupted_on_a_terminal,
    "run": run_with_input,
    "an unknown method": unknown_method,
    "what it can": features,
}


@pytest.mark.parametrize("name", COMMANDS)
@bounded
async def test_a_command_comes_to_the_same_here_and_in_a_daemon(name: str) -> None:
    outcomes = []
    for connect in (execserver.local.connect, execserver.client.trio.connect):
        async with connect() as server:
            outcomes.append(await COMMANDS[name](server))
            if name == "a descendant on the pipe":
                assert ("stdout", b"parent\n") in outcomes[-1]
    assert outcomes[0] == outcomes[1]


# What is its own


@bounded
async def test_the_callers_error_leaves_as_itself() -> None:
    error = KeyError("mine")
    with pytest.raises(KeyError) as caught:
        async with execserver.local.connect() as server:
            await fail_beside_a_child(server, error)
    assert caught.value is error
    assert error.__context__ is None


@bounded
async def test_an_error_after_the_end_of_the_block_is_the_callers_own_fault() -> None:
    async with execserver.local.connect() as server:
        process = await server.start(["sleep", "1000"])  # the exit of one that ends by itself may have been heard
    with pytest.raises(ClosedError):
        await server.ping()
    with pytest.raises(ClosedError):
        await process.wait()


@bounded
async def test_the_end_of_the_block_is_the_end_of_every_process() -> None:
    async with execserver.local.connect() as server:
        pids = [await start_sleeper(server) for _ in range(5)]
    assert_gone(pids)


@bounded
async def test_cancellation_ends_every_process() -> None:
    pids: list[int] = []
    with trio.CancelScope() as scope:
        async with execserver.local.connect() as server:
            pids += [await start_sleeper(server) for _ in range(5)]
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert_gone(pids)


@pytest.mark.parametrize("checkpoints", range(12))
@bounded
async def test_cancellation_at_any_point_of_a_start_leaves_nothing(checkpoints: int) -> None:
    before = Left.now()
    with trio.CancelScope() as scope:
        async with execserver.local.connect() as server, trio.open_nursery() as nursery:
            nursery.start_soon(cancel_after, checkpoints, scope)
            await (await server.start(["sleep", "1000"])).wait()
    assert scope.cancelled_caught
    Left.now().assert_nothing_since(before)


@bounded
async def test_nothing_is_left_of_a_session() -> None:
    before = Left.now()
    for _ in range(3):
        async with execserver.local.connect() as server:
            await server.start(["sleep", "1000"])
            await server.start(["sh"], tty=True)
            process = await server.start(["sh", "-c", "echo ready; exec cat"], stdin="pipe")
            async for _ in process.events():
                break
    Left.now().assert_nothing_since(before)


@bounded
async def test_the_signals_of_the_program_stay_its_own() -> None:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE)
    before = [signal.getsignal(number) for number in numbers]
    async with execserver.local.connect() as server:
        await server.run(["true"])
        assert [signal.getsignal(number) for number in numbers] == before
    assert [signal.getsignal(number) for number in numbers] == before


async def test_a_program_that_ignores_the_end_of_its_children_is_refused() -> None:
    handler = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(RuntimeError, match="SIGCHLD is ignored"):
            async with execserver.local.connect():
                pytest.fail("connected")
    finally:
        signal.signal(signal.SIGCHLD, handler)


@bounded
async def test_children_of_the_program_are_left_alone() -> None:
    async with await open_own_child() as own:
        async with execserver.local.connect() as server:
            await server.run(["true"])
        assert own.poll() is None
        own.kill()
        assert await own.wait() == -signal.SIGKILL


@bounded
async def test_the_status_of_a_child_of_the_program_is_not_taken_by_the_server() -> None:
    own = await trio.lowlevel.open_process(["sh", "-c", "exit 7"])
    await settled(lambda: (found := task(own.pid)) is not None and found.zombie, "it has ended, and nobody has asked")
    async with execserver.local.connect() as server:
        await server.run(["true"])
    assert await own.wait() == 7


def test_sessions_in_two_threads_do_not_know_of_each_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    both = threading.Barrier(2, timeout=60)
    read: list[str] = []

    async def use() -> None:
        async with execserver.local.connect() as server:
            await server.call("fs/open", {"handleId": "h", "path": str(path)})
            await trio.to_thread.run_sync(both.wait)
            for _ in range(20):
                async with trio.open_nursery() as pings:
                    for _ in range(20):
                        pings.start_soon(server.ping)
                block = await server.call("fs/readBlock", {"handleId": "h", "offset": 0, "len": 100})
                read.append(block["chunk"])

    threads = [threading.Thread(target=trio.run, args=(use,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == [base64.b64encode(b"content").decode()] * 40


@bounded
async def test_two_sessions_side_by_side_do_not_know_of_each_other() -> None:
    async with execserver.local.connect() as one, execserver.local.connect() as other:
        await one.start(["sleep", "1000"], process_id="same")
        await other.start(["sleep", "1000"], process_id="same")
        assert [process.process_id for process in await one.list()] == ["same"]
        pid = (await other.list())[0].pid
        assert pid != (await one.list())[0].pid


@bounded
async def test_limits_are_those_that_were_given() -> None:
    async with execserver.local.connect(limits=Limits(retain_bytes=1000)) as server:
        process = await server.start([sys.executable, "-c", "for n in range(50): print('x' * 99, flush=True)"])
        await process.wait()
        page = await process.read()
        assert sum(len(chunk.data) for chunk in page.chunks) <= 1000


# How it is seen


class Left(NamedTuple):
    """Descriptors, threads and children of this program."""

    descriptors: list[str]
    threads: set[threading.Thread]
    children: list[str]

    @classmethod
    def now(cls) -> "Left":
        descriptors = sorted(os.readlink(f"/proc/self/fd/{name}") for name in descriptor_names())
        children = [path.read_text() for path in Path("/proc/self/task").glob("*/children")]
        return cls(descriptors, set(threading.enumerate()), sorted(" ".join(children).split()))

    def assert_nothing_since(self, before: "Left") -> None:
        """Trio keeps the threads of earlier tests for some seconds, so that one of theirs may end meanwhile."""
        assert (self.descriptors, self.children) == (before.descriptors, before.children)
        assert self.threads <= before.threads


def descriptor_names() -> list[str]:
    names = []
    for name in os.listdir("/proc/self/fd"):
        try:
            os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # that of the listing itself
            continue
        names.append(name)
    return names


async def fail_beside_a_child(server: Server, error: Exception) -> None:
    await server.start(["sleep", "1000"])
    raise error


async def start_sleeper(server: Server) -> int:
    process = await server.start(["sleep", "1000"])
    assert process.pid is not None
    return process.pid


def assert_gone(pids: list[int]) -> None:
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def cancel_after(checkpoints: int, scope: trio.CancelScope) -> None:
    for _ in range(checkpoints):
        await trio.lowlevel.checkpoint()
    scope.cancel()


@asynccontextmanager
async def _ended(child: trio.Process) -> AsyncIterator[trio.Process]:
    try:
        yield child
    finally:
        child.kill()
        with trio.CancelScope(shield=True):
            await child.wait()


async def open_own_child() -> AbstractAsyncContextManager[trio.Process]:
    return _ended(await trio.lowlevel.open_process(["sleep", "1000"]))
