"""How trio waits for the client's core, whatever the wire: the pipes of a daemon, or memory (`execserver.local`)."""

import math
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import trio

from execserver.client.core import ClientCore
from execserver.client.source import Source

T = TypeVar("T")


class TrioDriver:
    """The `Driver` of trio, without a wire."""

    def __init__(self, core: ClientCore) -> None:
        self.core = core

    async def wait(self, source: Source[T]) -> T:
        """Wait for ``source``."""
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
            while not source.advance():
                woken = trio.Event()
                patience = math.inf if source.patience is None else source.patience
                with self.core.parking.park(source, woken.set), trio.move_on_after(patience) as scope:
                    await woken.wait()
                if scope.cancelled_caught:
                    source.expire()
            return source.take()
        except BaseException:
            source.cancel()
            raise

    def clock(self) -> float:
        """Give trio's time."""
        return trio.current_time()

    async def see_through(self, ending: Coroutine[Any, Any, None], seconds: float) -> None:
        """Run ``ending`` shielded, ``seconds`` at most."""
        with trio.move_on_after(seconds, shield=True):
            await ending


@contextmanager
def unwrapped(*, wholly: bool = False) -> Iterator[None]:
    """Let an error leave the nursery inside, which is strict, as itself and not in a group of one.

    A group that is left may be the caller's own, so only one is taken off; ``wholly`` is for where no caller's code
    runs inside, and all groups are of nurseries.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) != 1:
            raise
        alone = group.exceptions[0]
        while wholly and isinstance(alone, BaseExceptionGroup) and len(alone.exceptions) == 1:
            alone = alone.exceptions[0]
        context = alone.__context__
        try:
            raise alone
        finally:
            alone.__context__ = context  # the caller's: the group is not the cause
