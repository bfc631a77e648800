"""The same scenario under every runtime.

A scenario is one coroutine. It speaks to the asynchronous interface, waits for nothing but the client, and does two
things at once only with `Runtime.together`. Under ``sync`` its awaits never suspend: a thread is what runs two at once.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import trio

import execserver.client.asyncio
import execserver.client.sync
import execserver.client.trio
import execserver.local

SECONDS = 30.0  # more than any scenario takes; a hang is a failure, and not a hanging suite

Scenario = Callable[["Runtime"], Coroutine[Any, Any, None]]


class Runtime:
    """What a scenario is given."""

    name = ""
    remote = True  # the daemon is another process, behind a command

    def connect(self, *args: Any, **kwargs: Any) -> AbstractAsyncContextManager[Any]:
        raise NotImplementedError

    async def together(self, *tasks: Callable[[], Coroutine[Any, Any, Any]]) -> list[Any]:
        """Run the tasks at once and give their results, or the error of the first that failed."""
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        """Be slow. Never to wait for a condition."""
        raise NotImplementedError

    def run(self, scenario: Scenario) -> None:
        raise NotImplementedError


class Trio(Runtime):
    name = "trio"

    def connect(self, *args: Any, **kwargs: Any) -> AbstractAsyncContextManager[Any]:
        return execserver.client.trio.connect(*args, **kwargs)

    async def together(self, *tasks: Callable[[], Coroutine[Any, Any, Any]]) -> list[Any]:
        results: list[Any] = [None] * len(tasks)

        async def keep(index: int, task: Callable[[], Coroutine[Any, Any, Any]]) -> None:
            results[index] = await task()

        async with trio.open_nursery() as nursery:
            for index, task in enumerate(tasks):
                nursery.start_soon(keep, index, task)
        return results

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    def run(self, scenario: Scenario) -> None:
        async def main() -> None:
            with trio.fail_after(SECONDS):
                await scenario(self)

        trio.run(main)


class Local(Trio):
    name = "local"
    remote = False

    def connect(self, *args: Any, **kwargs: Any) -> AbstractAsyncContextManager[Any]:
        return execserver.local.connect(*args, **kwargs)


class Asyncio(Runtime):
    name = "asyncio"

    def connect(self, *args: Any, **kwargs: Any) -> AbstractAsyncContextManager[Any]:
        return execserver.client.asyncio.connect(*args, **kwargs)

    async def together(self, *tasks: Callable[[], Coroutine[Any, Any, Any]]) -> list[Any]:
        return list(await asyncio.gather(*(task() for task in tasks)))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def run(self, scenario: Scenario) -> None:
        async def main() -> None:
            async with asyncio.timeout(SECONDS):
                await scenario(self)

        asyncio.run(main(), debug=True)


class Sync(Runtime):
    name = "sync"

    @asynccontextmanager
    async def connect(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        with execserver.client.sync.connect(*args, **kwargs) as server:
            yield Awaitable(server)

    async def together(self, *tasks: Callable[[], Coroutine[Any, Any, Any]]) -> list[Any]:
        results: list[Any] = [None] * len(tasks)
        errors: list[BaseException] = []

        def keep(index: int, task: Callable[[], Coroutine[Any, Any, Any]]) -> None:
            try:
                results[index] = drive(task())
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=keep, args=item, daemon=True) for item in enumerate(tasks)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
            assert not thread.is_alive(), "a thread hangs"
        if errors:
            raise errors[0]
        return results

    async def sleep(self, seconds: float) -> None:
        threading.Event().wait(seconds)

    def run(self, scenario: Scenario) -> None:
        async def main() -> None:
            await self.together(lambda: scenario(self))

        drive(main())


def drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it suspended")


class Awaitable:
    """A synchronous `Server`, `Process` or `Events` with an ``await`` before everything that may wait."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._wrapped, name)
        if not callable(value):
            return value
        if name == "events":
            return lambda *args, **kwargs: Awaitable(value(*args, **kwargs))

        async def call(*args: Any, **kwargs: Any) -> Any:
            result = value(*args, **kwargs)
            return Awaitable(result) if isinstance(result, execserver.client.sync.Process) else result

        return call

    def __aiter__(self) -> "Awaitable":
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self._wrapped)
        except StopIteration:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> "Awaitable":
        return Awaitable(self._wrapped.__enter__())

    async def __aexit__(self, *error: Any) -> None:
        self._wrapped.__exit__(*error)


RUNTIMES: tuple[Runtime, ...] = (Trio(), Asyncio(), Sync(), Local())
