"""Our clients and the reference server: what it can do works, what it lacks is `Unsupported`, all under every runtime.

It sends events out of order, output before the answer to the start, no positions and no byte totals.
"""

import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from execserver.client.names import Closed, Exited, Lost, Output, RpcError, StartError, Unsupported
from tests.client.runtimes import RUNTIMES, Runtime

pytestmark = pytest.mark.interop

REMOTE = [runtime for runtime in RUNTIMES if runtime.remote]


def under_every_runtime(test: Callable[[Runtime, Any], Coroutine[Any, Any, None]]) -> Callable[[Runtime, Path], None]:
    @pytest.mark.parametrize("runtime", REMOTE, ids=lambda runtime: runtime.name)
    def run(runtime: Runtime, binary: Path) -> None:
        async def connected(runtime: Runtime) -> None:
            async with runtime.connect([str(binary), "exec-server", "--listen", "stdio"]) as server:
                await test(runtime, server)

        runtime.run(connected)

    return run


def check_order(events: list[Any], after_seq: int = 0) -> None:
    """Each number once, the close last, one exit."""
    assert [event.seq for event in events] == list(range(after_seq + 1, after_seq + 1 + len(events)))
    assert isinstance(events[-1], Closed)
    assert sum(isinstance(event, Exited) for event in events) == (after_seq < len(events))


@under_every_runtime
async def test_events_are_in_order_and_complete(runtime: Runtime, server: Any) -> None:
    for number in range(20):
        process = await server.start(["sh", "-c", f"echo {number}; echo err >&2; exit 3"])
        assert process.pid is None
        events = [event async for event in process.events()]
        check_order(events)
        assert [event.exit_code for event in events if isinstance(event, Exited)] == [3]
        written = {event.stream: event.data for event in events if isinstance(event, Output)}
        assert written == {"stdout": f"{number}\n".encode(), "stderr": b"err\n"}
        assert [event async for event in process.events()] == events
        assert [event async for event in process.events(after_seq=2)] == events[2:]


@under_every_runtime
async def test_output_after_the_exit_is_followed_to_the_close(runtime: Runtime, server: Any) -> None:
    process = await server.start(["sh", "-c", "echo a; (sleep 0.2; echo late) & exit 4"], process_id="late")
    events = [event async for event in process.events()]
    check_order(events)
    assert events[-2].data == b"late\n"
    page = await process.read()
    assert (page.exited, page.closed, page.exit_seq, len(page.chunks)) == (True, True, None, 2)


@under_every_runtime
async def test_run_gives_all_output_and_the_code(runtime: Runtime, server: Any) -> None:
    result = await server.run(["sh", "-c", "seq 50000; kill -9 $$"])
    assert (result.exit_code, result.signal, result.complete) == (137, None, False)
    assert result.stdout == "".join(f"{number}\n" for number in range(1, 50001)).encode()
    result = await server.run(["sh", "-c", "echo partial; sleep 60"], timeout=0.5)
    assert (result.timed_out, result.stdout) == (True, b"partial\n")
    result = await server.run(["sh", "-c", "echo done; sleep 60 & exit 0"], drain=0.2)
    assert (result.exit_code, result.stdout) == (0, b"done\n")


@under_every_runtime
async def test_the_environment_and_the_directory_are_the_servers_unless_given(runtime: Runtime, server: Any) -> None:
    assert (await server.run(["sh", "-c", "echo $HOME; pwd"])).stdout.split() == [
        os.environ["HOME"].encode(),
        os.getcwd().encode(),
    ]
    assert (await server.run(["/usr/bin/env"], env={"A": "1"}, cwd="/usr")).stdout.splitlines()[-1] == b"A=1"


@under_every_runtime
async def test_stdin_signals_and_the_end(runtime: Runtime, server: Any) -> None:
    process = await server.start(["cat"], stdin="pipe")
    events = process.events()
    await process.write(b"hello")
    assert (await anext(events)).data == b"hello"
    assert await process.signal("interrupt") is None
    assert (await process.wait()).exit_code == 130
    async with await server.start(["sleep", "60"]) as process:
        pass
    assert (await process.wait()).exit_code == 137


@under_every_runtime
async def test_what_it_lacks_is_unsupported(runtime: Runtime, server: Any) -> None:
    process = await server.start(["cat"], stdin="pipe")
    refused: list[Callable[[], Coroutine[Any, Any, Any]]] = [
        server.ping,
        server.list,
        process.close_stdin,
        process.release,
        lambda: process.signal("TERM"),
        lambda: process.terminate(grace=1),
        lambda: process.resize(1, 1),
        lambda: server.start(["true"], tty=(30, 100)),
        lambda: server.start(["true"], timeout=1),
        lambda: server.run(["cat"], input=b"x"),
    ]
    for call in refused:
        with pytest.raises(Unsupported):
            await call()
    with pytest.raises(RpcError, match="does not implement"):
        await server.call("process/list")
    with pytest.raises(StartError, match=r"No such file|Permission"):
        await server.start(["/no/such/program"])


@under_every_runtime
async def test_what_it_evicted_is_lost_and_the_rest_is_whole(runtime: Runtime, server: Any) -> None:
    process = await server.start([sys.executable, "-c", "import sys; sys.stdout.write('x' * 3_000_000)"])
    await process.wait()
    expected = 1
    held = 0
    events = [event async for event in process.events()]
    for event in events:
        assert (event.first_seq if isinstance(event, Lost) else event.seq) == expected
        expected = event.seq + 1
        held += len(event.data) if isinstance(event, Output) else 0
    kinds = [type(event) for event in events]
    assert (kinds[-1], kinds.count(Exited), kinds.count(Lost)) == (Closed, 1, 1)
    assert held >= 1_000_000
