"""The pipes of the children's output, those of the next child made ahead of it. No processes.

Two pipes and what they are called take 20 us, which no start has to wait for: they are made when the answers to the one
before have left (`OutputPipes.make_ahead`). Only in the daemon. Another program may fork in between, and what it forked
would hold the pipes of a child that it knows nothing of, and keep their end of file from us.
"""

import os
from contextlib import suppress
from typing import Final, NamedTuple

from execserver.server.ledger import link_of

_AHEAD: Final = 2  # stdout and stderr


class OutputPipe(NamedTuple):
    """Both ends are the taker's to close."""

    reader: int  # does not block
    writer: int
    link: str  # see `ledger.link_of`


class OutputPipes:
    """Made when they are taken, or before."""

    def __init__(self) -> None:
        self._ahead: list[OutputPipe] = []
        self._taken = False

    def take(self) -> OutputPipe:
        """Give one away."""
        self._taken = True
        return self._ahead.pop() if self._ahead else _open()

    def make_ahead(self) -> None:
        """Make those of the next child, if there has been one since the last time."""
        if self._taken:
            self._taken = False
            with suppress(OSError):  # no descriptors are left: the next start says so
                while len(self._ahead) < _AHEAD:
                    self._ahead.append(_open())

    def close(self) -> None:
        """Close what was not taken."""
        for pipe in self._ahead:
            os.close(pipe.reader)
            os.close(pipe.writer)
        self._ahead.clear()


def _open() -> OutputPipe:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(reader, False)
    return OutputPipe(reader, writer, link_of(writer))
