"""How asyncio waits for the client's core, whatever the wire."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

from execserver.client.core import ClientCore
from execserver.client.source import Source

T = TypeVar("T")


class AsyncioDriver:
    """The `Driver` of asyncio, without a wire."""

    def __init__(self, core: ClientCore) -> None:
        self.core = core
        self._loop = asyncio.get_running_loop()

    async def wait(self, source: Source[T]) -> T:
        """Wait for ``source``."""
        try:
            while not source.advance():
                woken: asyncio.Future[bool] = self._loop.create_future()

                def wake(expired: bool = False, woken: asyncio.Future[bool] = woken) -> None:
                    if not woken.done():
                        woken.set_result(expired)

                patience = source.patience
                timer = None if patience is None else self._loop.call_later(patience, wake, True)
                try:
                    with self.core.parking.park(source, wake):
                        expired = await woken
                finally:
                    if timer is not None:
                        timer.cancel()
                if expired:
                    source.expire()
            return source.take()
        except BaseException:
            source.cancel()
            raise

    def clock(self) -> float:
        """Give the loop's time."""
        return self._loop.time()

    async def see_through(self, ending: Coroutine[Any, Any, None], seconds: float) -> None:
        """Run ``ending`` in a task of its own, ``seconds`` at most, and wait for it whoever cancels."""
        task = self._loop.create_task(self._within(ending, seconds))
        cancelled = False
        while not task.done():
            try:
                await asyncio.wait({task})  # whose own end it does not raise, and which a cancelled wait leaves alone
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError
        task.result()

    async def _within(self, ending: Coroutine[Any, Any, None], seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await ending
