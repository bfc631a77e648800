"""Runs what blocks on a file system in a thread."""

from collections.abc import Callable
from typing import TypeVar

import trio

from execserver.server.eager import step_aside
from execserver.server.os_fault import os_fault

T = TypeVar("T")

# A file system that hangs keeps its threads for ever. Trio's default of 40 is shared with everyone else in the
# process; these are our own, and as many as there can be requests, so that one dead mount never stops the work on
# the others. More of them than processors cost a burst nothing (100 at a time: 53 to 75 us each, from 2 to 128).
THREADS = 256


class Threads:
    """The threads of one session."""

    def __init__(self, limit: int = THREADS) -> None:
        self._limiter = trio.CapacityLimiter(limit)

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """Answer what the function answers; an `OSError` becomes its `Fault`.

        Cancelling returns at once and leaves the thread to itself: no signal ends a read from a dead mount, and the
        end of the session must not wait for one.
        """
        await step_aside()
        try:
            return await trio.to_thread.run_sync(function, *args, limiter=self._limiter, abandon_on_cancel=True)
        except OSError as error:
            raise os_fault(error) from error
