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


@types.coroutine
def _tell(trap: Waiting | StandingBy) -> Generator[Any, Any, None]:
    """Give it to `begin`, or to `finish`."""
    yield trap


async def step_aside() -> None:
    """Leave the reader; what follows runs in a task. Needed before a handler's first checkpoint; again does nothing."""
    await _tell(WAITING)


async def stand_by(subscribe: Callable[[Callable[[], None]], None]) -> None:
    """Leave the reader until what was given to ``subscribe`` is called. Not behind `step_aside`, and only once."""
    await _tell(StandingBy(subscribe))


def begin(coroutine: Coroutine[Any, Any, T]) -> T | Waiting | StandingBy:
    """Run to the end, or until it has to wait; or go on with one that stood by. Never yields.

    What the coroutine raises is raised here. It may make others go on that stand by, within this call.
    """
    try:
        trap = coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    if not isinstance(trap, Waiting | StandingBy):
        coroutine.close()
        raise RuntimeError(f"{coroutine!r} reached a checkpoint without step_aside()")
    return trap


@types.coroutine
def finish(coroutine: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Await the rest of what `begin` found waiting, as ``yield from`` does; but it may step aside again."""
    go_on: Callable[[Any], Any] = coroutine.send
    given: Any = None
    while True:
        try:
            trap = go_on(given)
        except StopIteration as end:
            value: T = end.value
            return value
        go_on, given = coroutine.send, None
        if trap is not WAITING:
            try:
                given = yield trap
            except BaseException as error:  # Cancelled, Ctrl-C, the end of the task: the coroutine's to deal with
                go_on, given = coroutine.throw, error
