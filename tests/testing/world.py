"""A client, a `Mischief` and a model server in one process and in virtual time: a conversation is its seed.

The tasks are coroutines that use the client's own interface (`client.facade`); what an adapter does, `World` does here:
it waits for sources as `client.source` says, and moves bytes. Who runs first among those that could is drawn.
"""

import types
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import Any, TypeVar

from execserver.client.core import ClientCore
from execserver.client.facade import Server
from execserver.client.pause import Pause
from execserver.client.source import Source
from execserver.lines import LineSplitter
from execserver.testing import Mischief, Profile, Step
from execserver.testing import Pause as Silence

from .model import ModelServer

T = TypeVar("T")

LATENCY_SECONDS = 0.001
TICK_SECONDS = 0.01
HANG_SECONDS = 600.0  # of virtual time; a scenario takes well under a minute
MOST_TURNS = 200_000  # a loop that never waits is no progress either


class Cancelled(BaseException):
    """What a task is cancelled with."""


class Task:
    """A coroutine, and what it waits for."""

    def __init__(self, name: str, body: Coroutine[Any, Any, Any]) -> None:
        self.name = name
        self.body = body
        self.waits = 0  # numbers the waits: a timer of an earlier one has no meaning
        self.ready = True
        self.expired = False
        self.done = False
        self.error: BaseException | None = None


@types.coroutine
def _suspend(seconds: float | None) -> Generator[float | None, bool, bool]:
    return (yield seconds)


class World:
    """See the module's docstring. It is the `Driver` of its client."""

    def __init__(self, seed: int, profile: Profile, *, lossless: bool = False, **of_the_model: Any) -> None:
        self.random = Random(f"{seed} world")
        self.now = 0.0
        self.core = ClientCore(lossless=lossless)
        self.core.send_soon = self._send_soon
        self.mischief = Mischief(seed, profile)
        self.model = ModelServer(self.random, self.later, self._carry_down, **of_the_model)
        self.after_each_turn: Callable[[], None] = lambda: None
        self.tasks: list[Task] = []
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._made = 0
        self._current: Task | None = None
        self._sending = False
        self._ticking = False
        self._wire_free_at = 0.0
        self._up = LineSplitter(1 << 30)
        self._arrived: list[bytes] = []
        self._ended = False
        self._pausing = False
        self._reader = Task("reader", self._read())

    # What a test does

    def spawn(self, name: str, body: Coroutine[Any, Any, Any]) -> Task:
        """Begin a task."""
        task = Task(name, body)
        self.tasks.append(task)
        return task

    def run(self) -> None:
        """Run all tasks to their end. `AssertionError` if they hang; the first error of one otherwise."""
        turns = 0
        while living := [task for task in self.tasks if not task.done]:
            turns += 1
            assert turns < MOST_TURNS, f"no end in sight for {[task.name for task in living]}"
            if ready := [task for task in (*living, self._reader) if task.ready and not task.done]:
                self._step(self.random.choice(ready))
            else:
                assert self._timers, f"nothing will ever wake {[task.name for task in living]}"
                self.now, _, action = heappop(self._timers)
                assert self.now < HANG_SECONDS, f"{[task.name for task in living]} hang"
                action()
            self.after_each_turn()

    def cancel(self, task: Task) -> None:
        """Cancel a task where it waits."""
        if not task.done:
            task.ready = True
            task.error = Cancelled()

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await _suspend(seconds)

    async def connect(self) -> Server:
        """Shake hands."""
        await self.wait(self.core.initialize("world"))
        return Server(self)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something in so many seconds."""
        self._at(self.now + seconds, action)

    def _at(self, at: float, action: Callable[[], None]) -> None:
        self._made += 1
        heappush(self._timers, (at, self._made, action))

    # The driver

    async def wait(self, source: Source[T]) -> T:
        """Wait for ``source``, as `client.source` says."""
        task = self._current
        assert task is not None
        try:
            while not source.advance():
                with self.core.parking.park(source, lambda: self._wake(task)):
                    expired = await _suspend(source.patience)
                if expired:
                    source.expire()
            return source.take()
        except BaseException:
            source.cancel()
            raise

    def clock(self) -> float:
        """Give virtual time."""
        return self.now

    async def see_through(self, ending: Coroutine[Any, Any, None], seconds: float) -> None:
        """Run ``ending``; nothing here cancels twice."""
        await ending

    # Tasks

    def _step(self, task: Task) -> None:
        self._current, task.ready = task, False
        cancelled, task.error = task.error, None
        task.waits += 1
        try:
            if cancelled is not None:
                seconds = task.body.throw(cancelled)
            else:
                seconds = task.body.send(task.expired if task.waits > 1 else None)
        except (StopIteration, Cancelled):
            task.done = True
            return
        task.expired = False
        if seconds is not None:
            number = task.waits
            self.later(seconds, lambda: self._expire(task, number))

    def _wake(self, task: Task) -> None:
        task.ready = True

    def _expire(self, task: Task, number: int) -> None:
        if task.waits == number and not task.ready:
            task.ready = task.expired = True

    # The wire

    def _send_soon(self) -> None:
        if not self._sending:
            self._sending = True
            self.later(LATENCY_SECONDS, self._carry_up)

    def _carry_up(self) -> None:
        self._sending = False
        for line in self._up.feed(self.core.take_outgoing()):
            assert isinstance(line, bytes)
            if not self.mischief.over:
                self.model.feed(line)

    def _carry_down(self, line: bytes) -> None:
        self._deliver(self.mischief.feed(line + b"\n"))

    def _deliver(self, steps: list[Step]) -> None:
        at = max(self.now + LATENCY_SECONDS, self._wire_free_at)
        for step in steps:
            if isinstance(step, Silence):
                at += step.seconds
            else:
                self._at(at, partial(self._arrive, step))
        self._wire_free_at = at
        if self.mischief.over:
            self._at(at, self._end)
        elif self.mischief.holding and not self._ticking:
            self._ticking = True
            self.later(TICK_SECONDS, self._tick)

    def _arrive(self, data: bytes) -> None:
        self._arrived.append(data)
        self._reader.ready = self._reader.ready or not self._pausing

    def _end(self) -> None:
        self._ended = True
        self._reader.ready = self._reader.ready or not self._pausing

    async def _read(self) -> None:
        while self._arrived or not self._ended:
            pieces = self.random.randint(1, 4)  # of writes that one read finds
            data, self._arrived = b"".join(self._arrived[:pieces]), self._arrived[pieces:]
            self.core.feed(data)
            if self.core.laggards:
                self._pausing = True
                await self.wait(Pause(self.core))
                self._pausing = False
            if not self._arrived and not self._ended:
                await _suspend(None)
        self.core.end_of_file("the wire was cut")

    def _tick(self) -> None:
        self._ticking = False
        self._deliver(self.mischief.tick())
