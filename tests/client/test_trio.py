"""The trio adapter against real daemons. Everything is under a clock."""

import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
import trio

import execserver.local
from execserver.client.core import ClientCore
from execserver.client.ending import Ending
from execserver.client.trio import Closed, Exited, Output, Server, StartError, connect

from .bounded import bounded


@bounded
async def test_a_process_is_followed_to_its_close() -> None:
    async with connect() as server:
        process = await server.start(["sh", "-c", "echo out; exit 3"])
        events = [event async for event in process.events()]
    assert events[0] == Output(1, "stdout", b"out\n")
    assert isinstance(events[1], Exited)
    assert (events[1].exit_code, events[1].reason) == (3, "exit")
    assert events[2] == Closed(3, "endOfFile", 4, 0)


@bounded
async def test_every_subscription_is_complete_also_after_the_close() -> None:
    async with connect() as server:
        process = await server.start(["sh", "-c", "echo out; exit 3"])
        first = [event async for event in process.events()]
        assert [event async for event in process.events()] == first
        assert [event async for event in process.events(after_seq=1)] == first[1:]


@bounded
async def test_the_callers_error_leaves_as_itself() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with connect():
            raise KeyError("mine")


@bounded
async def test_a_start_error_says_what_the_server_said() -> None:
    async with connect() as server:
        with pytest.raises(StartError) as caught:
            await server.start(["/no/such/program"])
    assert caught.value.kind == "programNotFound"


@bounded
async def test_run_collects_both_streams() -> None:
    async with connect() as server:
        result = await server.run([sys.executable, "-c", "import sys; print(1); print(2, file=sys.stderr)"])
    assert (result.exit_code, result.stdout, result.stderr, result.complete) == (0, b"1\n", b"2\n", True)


CONNECTS: dict[str, Callable[[], AbstractAsyncContextManager[Server]]] = {
    "trio": connect,
    "local": execserver.local.connect,
}


@pytest.mark.filterwarnings("ignore:.*strict_exception_groups")
@pytest.mark.parametrize("name", CONNECTS)
@pytest.mark.parametrize("strict", [True, False])
def test_a_group_of_the_callers_own_leaves_as_it_is(name: str, strict: bool) -> None:
    error = ValueError("one")

    async def main() -> None:
        with trio.fail_after(30):
            async with CONNECTS[name]():
                raise ExceptionGroup("mine", [ExceptionGroup("inner", [error])])

    with pytest.raises(ExceptionGroup) as caught:
        trio.run(main, strict_exception_groups=strict)
    (inner,) = caught.value.exceptions  # a nursery makes a copy of the group
    assert (caught.value.message, isinstance(inner, ExceptionGroup) and inner.exceptions) == ("mine", (error,))


@pytest.mark.parametrize("name", CONNECTS)
def test_ctrl_c_while_the_client_reads_interrupts_the_program(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = ClientCore.feed

    def interrupted(core: ClientCore, data: bytearray, size: int | None = None) -> None:
        if b"process/output" in data[:size]:
            signal.raise_signal(signal.SIGINT)
        feed(core, data, size)

    async def main() -> None:
        with trio.fail_after(30):
            async with CONNECTS[name]() as server:
                await server.run(["sh", "-c", "echo; exec sleep 60"])

    monkeypatch.setattr(ClientCore, "feed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trio.run(main)


@pytest.mark.parametrize(("kind", "name"), [(ClientCore, "close"), (Ending, "advance")])
def test_ctrl_c_twice_ends_a_daemon_that_does_not_want_to(
    monkeypatch: pytest.MonkeyPatch, kind: type, name: str
) -> None:
    function = getattr(kind, name)

    def interrupted(self: object) -> object:
        monkeypatch.undo()
        signal.raise_signal(signal.SIGINT)
        return function(self)

    monkeypatch.setattr(kind, name, interrupted)
    body = "import signal; [signal.signal(number, signal.SIG_IGN) for number in (2, 15)]\n" + DEAF

    async def main() -> None:
        with trio.fail_after(30):
            async with connect([sys.executable, "-I", "-S", "-c", body], shutdown_timeout=60):
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)


DEAF = """
import json, sys, time
print(json.dumps({"id": json.loads(sys.stdin.readline())["id"], "result": {"sessionId": "s"}}), flush=True)
time.sleep(60)
"""


@bounded
async def test_a_block_that_is_left_before_the_writers_turn_has_come_ends_in_peace() -> None:
    async with connect([sys.executable, "-I", "-S", "-c", DEAF], shutdown_timeout=0.2) as server:
        server._core.notify("x", {"pad": "y" * 3_000_000})  # more than the pipe takes, and no wait before the end
    assert server.disconnected is not None


@bounded
async def test_a_reading_task_that_fails_ends_the_block_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError("too much")

    async def main() -> None:
        async with connect([sys.executable, "-I", "-S", "-c", WILLING]) as server:
            monkeypatch.setattr(server._core, "feed", fail)
            await server.call("x")

    began = trio.current_time()
    with pytest.raises(MemoryError):
        await main()
    assert trio.current_time() - began < 4  # the daemon saw the end of its stdin, and that was seen


WILLING = """
import json, sys
for request in map(json.loads, sys.stdin):
    if "id" in request:
        print(json.dumps({"id": request["id"], "result": {"sessionId": "s"}}), flush=True)
"""
