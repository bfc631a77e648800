"""Begins a coroutine at once, inside the caller, and leaves it to a task of its own only if it has to wait.

Why: requests must be begun in the order of their lines, `Nursery.start_soon` begins tasks in random order, and
`Nursery.start` costs 29 us even where nothing waits. So the reader steps each handler by hand. A handler that is
done without waiting has cost no task; one that must wait says so with `step_aside`, before its first checkpoint,
and is resumed where it stood by `finish`, in a task. It is what ``asyncio.eager_task_factory`` does, for trio.
"""

import types
from collections.abc import Coroutine, Generator
from typing import Any, Final, TypeVar

T = TypeVar("T")


class Waiting:
    """The type of `WAITING`, what `begin` answers for a coroutine that has stepped aside."""


WAITING: Final = Waiting()

_stepping = False  # only ever true while `begin` is on the stack


@types.coroutine
def _yield_to_the_reader() -> Generator[Any, Any, None]:
    yield WAITING


async def step_aside() -> None:
    """Leave the reader; what follows runs in a task. Needed before the first checkpoint of a handler.

    Outside of `begin` (a test that awaits a handler itself, a second call) it does nothing.
    """
    if _stepping:
        await _yield_to_the_reader()


def begin(coroutine: Coroutine[Any, Any, T]) -> T | Waiting:
    """Run to the end, or to `step_aside`. Never yields. What the coroutine raises is raised here."""
    global _stepping
    _stepping = True
    try:
        trap = coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    finally:
        _stepping = False
    if not isinstance(trap, Waiting):
        coroutine.close()
        raise RuntimeError(f"{coroutine!r} reached a checkpoint without step_aside()")
    return trap


@types.coroutine
def finish(coroutine: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Await the rest of a coroutine that `begin` found waiting."""
    value: T = yield from coroutine
    return value
