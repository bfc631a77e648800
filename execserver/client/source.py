"""What an adapter waits for, in one shape. No I/O, no clock.

An adapter has a single way of waiting, whatever for (an answer, an event, an exit, a whole run)::

    while not source.advance():      # do what can be done without waiting; may queue lines to send
        flush()
        wait until source.wake() is called, at most source.patience seconds
        if that time passed: source.expire()
    return source.take()             # the value, or the error
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


def nobody() -> None:
    """Stand where nobody waits."""


class Finished(Exception):
    """An iteration has given all that there is."""


class Source(Generic[T_co]):
    """Something to wait for; see the module's docstring."""

    wake: Callable[[], None] = staticmethod(nobody)
    takes_turns = False  # whether a reader who waits for slow consumers may let it wait a little: it follows pushes

    @property
    def patience(self) -> float | None:
        """After how many seconds without `wake` to call `expire`; None: never."""
        return None

    def advance(self) -> bool:
        """Do what can be done without waiting; return whether `take` has a value or an error."""
        raise NotImplementedError

    def expire(self) -> None:
        """`patience` has passed."""

    def take(self) -> T_co:
        """Give the value, or raise. Call it when `advance` returned true."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Nobody waits for this any more: forget it."""


class Parking:
    """Who waits now, so that the end of the connection wakes everybody."""

    def __init__(self) -> None:
        self._sources: set[Source[object]] = set()
        self.on_park: Callable[[Source[object]], None] = lambda source: None

    @contextmanager
    def park(self, source: Source[object], wake: Callable[[], None]) -> Iterator[None]:
        """Wait inside this block for ``wake`` to be called."""
        if source in self._sources:
            raise RuntimeError("somebody waits for this already: call events() once for each consumer")
        source.wake = wake
        self._sources.add(source)
        self.on_park(source)
        try:
            yield
        finally:
            self._sources.discard(source)
            source.wake = nobody

    def __iter__(self) -> Iterator[Source[object]]:
        return iter(self._sources)

    def wake_all(self) -> None:
        """Wake everybody that waits."""
        for source in tuple(self._sources):
            source.wake()
