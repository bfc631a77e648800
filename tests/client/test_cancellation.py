"""Every call can be cancelled wherever it waits, and the connection goes on; so can its beginning.

A call that waits n times is cancelled at its first wait, at its second, and so on, until it ends uncancelled.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trio

import execserver.client.asyncio
import execserver.client.trio
from execserver.client.names import Closed, Exited, Output

MOST_WAITS = 100


async def follow(server: Any) -> None:
    process = await server.start(["sh", "-c", "echo a; echo b >&2; exec cat"], stdin="pipe")
    events = process.events()
    assert (await anext(events)).seq == 1
    await process.write(b"x")
    await process.close_stdin()
    assert [type(event) async for event in events][-2:] == [Exited, Closed]


async def wait(server: Any) -> None:
    assert (await (await server.start(["true"])).wait()).exit_code == 0


async def run(server: Any) -> None:
    assert (await server.run(["cat"], input=b"x" * 600_000)).complete


async def block(server: Any) -> None:
    async with await server.start(["sleep", "60"]) as process:
        await process.signal("CONT")
        await process.read(wait=0.01)


async def ask(server: Any) -> None:
    await server.ping()
    await server.list()
    await server.call("environment/info")


CALLS = [follow, wait, run, block, ask]


async def check(server: Any) -> None:
    """The connection lives, and soon nothing of what was cancelled runs any more."""
    assert server.disconnected is None
    assert (await server.run(["echo", "alive"])).stdout == b"alive\n"


def may_run_on(state: str, argv: list[str]) -> bool:
    """A process that was cancelled after its start is its caller's; one that `run` or a block began is ended."""
    return state == "closed" or argv[0] == "sh"


class CancelAtWait(trio.abc.Instrument):
    """Cancels a scope when its task is about to wait for the n-th time."""

    def __init__(self, task: trio.lowlevel.Task, scope: trio.CancelScope, waits: int) -> None:
        self._task = task
        self._scope = scope
        self._left = waits

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self._left -= 1
            if self._left == 0:
                self._scope.cancel()


@contextmanager
def cancelled_at(waits: int) -> Iterator[trio.CancelScope]:
    with trio.CancelScope() as scope:
        instrument = CancelAtWait(trio.lowlevel.current_task(), scope, waits)
        trio.lowlevel.add_instrument(instrument)
        try:
            yield scope
        finally:
            trio.lowlevel.remove_instrument(instrument)


@pytest.mark.parametrize("call", CALLS)
async def test_trio_calls_can_be_cancelled_at_every_wait(call: Callable[[Any], Awaitable[None]]) -> None:
    with trio.fail_after(60):
        async with execserver.client.trio.connect() as server:
            for waits in range(1, MOST_WAITS):
                with cancelled_at(waits) as scope:
                    await call(server)
                await check(server)
                if not scope.cancelled_caught:
                    break
            else:
                raise AssertionError("it never ended by itself")
            assert waits > 1
            await settle(server, trio.sleep)


async def test_a_trio_connection_can_be_cancelled_at_every_wait() -> None:
    with trio.fail_after(60):
        for waits in range(1, MOST_WAITS):
            with cancelled_at(waits) as scope:
                async with execserver.client.trio.connect():
                    pass
            if not scope.cancelled_caught:
                break
        else:
            raise AssertionError("it never ended by itself")
        assert waits > 1


@pytest.mark.parametrize("call", CALLS)
def test_asyncio_calls_can_be_cancelled_at_every_wait(call: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), execserver.client.asyncio.connect() as server:
            for waits in range(1, MOST_WAITS):
                task = asyncio.get_running_loop().create_task(stepwise(call(server), waits))
                if await task:
                    break
                await check(server)
            else:
                raise AssertionError("it never ended by itself")
            assert waits > 1
            await settle(server, asyncio.sleep)

    asyncio.run(main())


def test_asyncio_reads_on_although_the_program_cancels_every_task() -> None:
    async def main() -> None:
        async with asyncio.timeout(60), execserver.client.asyncio.connect(lossless=True) as server:
            process = await server.start(["head", "-c", "8000000", "/dev/zero"])
            others: set[asyncio.Task[Any]] = set()
            async for event in process.events():
                while isinstance(event, Output) and not others:  # until the reader waits for this one
                    await asyncio.sleep(0)
                    others = asyncio.all_tasks() - {asyncio.current_task()}
                    for task in others:
                        task.cancel()
            assert others
            assert isinstance(event, Closed)

    asyncio.run(main())


async def stepwise(coroutine: Coroutine[Any, Any, None], waits: int) -> bool:
    """Run the coroutine, cancelled at its n-th wait; return whether it ended before that."""
    task = asyncio.current_task()
    assert task is not None
    try:
        await _Steps(coroutine, waits, task)
    except asyncio.CancelledError:
        return False
    return True


class _Steps:
    def __init__(self, coroutine: Coroutine[Any, Any, None], waits: int, task: "asyncio.Task[bool]") -> None:
        self._coroutine = coroutine
        self._left = waits
        self._task = task

    def __await__(self) -> Any:
        send: Any = self._coroutine.send
        value = None
        while True:
            try:
                waited_for = send(value)
            except StopIteration:
                return
            self._left -= 1
            if self._left == 0:
                self._task.cancel()
            try:
                value = yield waited_for
                send = self._coroutine.send
            except BaseException as error:
                value, send = error, self._coroutine.throw


async def settle(server: Any, sleep: Callable[[float], Awaitable[None]]) -> None:
    """What `run` and blocks began has been terminated: see it end."""
    for _ in range(100):
        listed = await server.list()
        if all(may_run_on(info.state, info.argv) for info in listed):
            return
        await sleep(0.05)  # nothing tells of the end of a process that nobody holds
    raise AssertionError(f"still there: {listed}")
