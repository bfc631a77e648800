"""Begins a coroutine at once, inside the caller, and leaves it to somebody else only if it has to wait.

Why: requests must be begun in the order of their lines, `Nursery.start_soon` begins tasks in random order, and
`Nursery.start` costs 29 us even where nothing waits. So the reader steps each handler by hand. A handler that is
done without waiting has cost no task. One that must wait says so before its first checkpoint, in one of two ways. With
`step_aside` it is resumed where it stood by `finish`, in a task: what ``asyncio.eager_task_factory`` does, for trio.
With `stand_by` it is resumed by whoever brings about what it waits for, with no task at all: a long ``process/write``
nearly always has to wait for the child.
"""

import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final, NamedTuple, TypeVar

T = TypeVar("T")


class Waiting:
    """The type of `WAITING`, what `begin` answers for a coroutine that has stepped aside."""


WAITING: Final = Waiting()


class StandingBy(NamedTuple):
    """What `begin` answers for a coroutine that stands by: ``subscribe`` takes what to call when it may go on."""

    subscribe: Callable[[Callable[[], None]], None]


_stepping = False  # only ever true while `begin` is on the stack


@types.coroutine
def _yield_to_the_reader(trap: Waiting | StandingBy) -> Generator[Any, Any, None]:
    yield trap


async def step_aside() -> None:
    """Leave the reader; what follows runs in a task. Needed before the first checkpoint of a handler.

    Outside of `begin` (a test that awaits a handler itself, a second call) it does nothing.
    """
    if _stepping:
        await _yield_to_the_reader(WAITING)


async def stand_by(subscribe: Callable[[Callable[[], None]], None]) -> None:
    """Leave the reader until what was given to ``subscribe`` is called. What follows must not wait again."""
    await _yield_to_the_reader(StandingBy(subscribe))


def begin(coroutine: Coroutine[Any, Any, T]) -> T | Waiting | StandingBy:
    """Run to the end, or until it has to wait; or go on with one that stood by. Never yields.

    What the coroutine raises is raised here. It may make others go on that stand by, within this call.
    """
    global _stepping
    within, _stepping = _stepping, True
    try:
        trap = coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    finally:
        _stepping = within
    if not isinstance(trap, Waiting | StandingBy):
        coroutine.close()
        raise RuntimeError(f"{coroutine!r} reached a checkpoint without step_aside()")
    return trap


@types.coroutine
def finish(coroutine: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Await the rest of a coroutine that `begin` found waiting."""
    value: T = yield from coroutine
    return value
