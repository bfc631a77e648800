"""Each adapter and the real daemon, with the proxy between them. A seed is a connection with several processes.

What a wire can do to a client is tried by the thousand in `test_conversations`; here a few seeds show that the adapters
move bytes, wait and end as the model of an adapter there does.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
import trio

import execserver.client.asyncio
import execserver.client.trio
from execserver.client.errors import Disconnected
from execserver.client.events import Closed, Event, Exited, Output
from execserver.client.facade import Process, Server

SECONDS = 60
SCRIPT = "for i in $(seq 40); do echo out $i; echo err $i >&2; done; sleep 0.05; echo late; exit 3"
STDOUT = b"".join(b"out %d\n" % i for i in range(1, 41)) + b"late\n"
STDERR = b"".join(b"err %d\n" % i for i in range(1, 41))

Scenario = Callable[[Server, "Together"], Awaitable[None]]
Together = Callable[..., Awaitable[None]]


def command(seed: int, profile: str) -> list[str]:
    python = sys.executable
    proxy = [python, "-m", "execserver.testing", "--seed", str(seed), "--profile", profile]
    return [*proxy, "--", python, "-m", "execserver"]


async def _run(body: Coroutine[Any, Any, None]) -> None:
    await body


def with_trio(argv: list[str], scenario: Scenario) -> None:
    async def together(*bodies: Coroutine[Any, Any, None]) -> None:
        async with trio.open_nursery() as nursery:
            for body in bodies:
                nursery.start_soon(_run, body)

    async def main() -> None:
        with trio.fail_after(SECONDS):
            async with execserver.client.trio.connect(argv) as server:
                await scenario(server, together)

    trio.run(main)


def with_asyncio(argv: list[str], scenario: Scenario) -> None:
    async def together(*bodies: Coroutine[Any, Any, None]) -> None:
        async with asyncio.TaskGroup() as group:
            for body in bodies:
                group.create_task(body)

    async def main() -> None:
        async with asyncio.timeout(SECONDS), execserver.client.asyncio.connect(argv) as server:
            await scenario(server, together)

    asyncio.run(main())


every_adapter = pytest.mark.parametrize("adapter", [with_trio, with_asyncio])


async def use_everything(server: Server, together: Together) -> None:
    """Several processes, several subscriptions each: at once, late, from the middle; waits; a run."""

    async def one(_: int) -> None:
        process = await server.start(["sh", "-c", SCRIPT])
        await together(follow(process), follow(process), follow(process, 2), wait(process))
        await follow(process)  # when all is over

    async def run() -> None:
        result = await server.run(["sh", "-c", SCRIPT], drain=10)
        assert (result.exit_code, result.stdout, result.stderr) == (3, STDOUT, STDERR)

    await together(one(1), one(2), run())
    await server.ping()


async def follow(process: Process, after_seq: int = 0) -> None:
    given: list[Event] = []
    try:
        async for event in process.events(after_seq):
            given.append(event)  # noqa: PERF401 - it must be there when it ends early
    finally:
        check_beginning(given, after_seq)
    assert isinstance(given[-1], Closed)
    assert sum(isinstance(event, Exited) for event in given) == 1
    if after_seq == 0:
        assert bytes_of(given, "stdout") == STDOUT
        assert bytes_of(given, "stderr") == STDERR


async def wait(process: Process) -> None:
    assert (await process.wait()).exit_code == 3


def check_beginning(given: list[Event], after_seq: int) -> None:
    """Every number once, nothing lost, nothing wrong, however early it ended."""
    assert [event.seq for event in given] == list(range(after_seq + 1, after_seq + 1 + len(given)))
    assert all(isinstance(event, Output | Exited | Closed) for event in given)
    if after_seq == 0:
        assert STDOUT.startswith(bytes_of(given, "stdout"))
        assert STDERR.startswith(bytes_of(given, "stderr"))


def bytes_of(events: list[Event], stream: str) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Output) and event.stream == stream)


@every_adapter
@pytest.mark.parametrize("seed", range(6))
def test_a_hostile_wire_is_survived_without_a_word(adapter: Callable[..., None], seed: int) -> None:
    adapter(command(seed, "hostile"), use_everything)


@every_adapter
@pytest.mark.parametrize("profile", ["silent", "strangers", "reorder"])
def test_each_kind_of_mischief_is_survived_without_a_word(adapter: Callable[..., None], profile: str) -> None:
    adapter(command(100, profile), use_everything)


@every_adapter
@pytest.mark.parametrize("profile", ["cut", "garbage"])
@pytest.mark.parametrize("seed", range(5))
def test_the_end_of_a_wire_is_disconnected_for_everybody_and_nothing_hangs(
    adapter: Callable[..., None], seed: int, profile: str
) -> None:
    def only_disconnected(error: BaseException) -> bool:
        if isinstance(error, BaseExceptionGroup):
            return all(map(only_disconnected, error.exceptions))
        return isinstance(error, Disconnected)

    try:
        adapter(command(seed, profile), use_everything)
    except BaseException as error:
        if not only_disconnected(error):
            raise
