"""A wait for the exit, or for the close, that needs nobody to follow the output. No I/O, no clock."""

from typing import TYPE_CHECKING

from execserver.client.events import Closed, Exited
from execserver.client.facts import Facts
from execserver.client.follower import Follower
from execserver.client.inbound import TextPage

if TYPE_CHECKING:
    from execserver.client.core import ClientCore


class Watch(Follower[Exited]):
    """A wait for the exit, or for the close, that needs nobody to follow the output."""

    def __init__(self, core: "ClientCore", facts: Facts, *, closed: bool = False) -> None:
        super().__init__(core, facts)
        self._for_close = closed
        self._found: Exited | None = None  # from a page that does not say where the exit is
        self._found_closed = False

    def advance(self) -> bool:
        """Whether it has come."""
        return self._come is not None or self._error is not None or self._core.disconnected is not None

    def expire(self) -> None:
        """Nothing came: ask, for pushes can be lost."""
        if not self._reading:
            self._fruitless = False
            self._read(self._facts.highest, 1, wait=True)

    def take(self) -> Exited:
        """Give the exit."""
        if (come := self._come) is not None:
            return come
        if self._error is not None:
            raise self._error
        raise self._core.disconnection()

    @property
    def _come(self) -> Exited | None:
        if self._for_close and self._facts.closed is None and not self._found_closed:
            return None
        return self._facts.exited or self._found

    @property
    def _hungry(self) -> bool:
        return self._for_close and self._facts.closed is not None and self._come is None

    def _take_page(self, page: TextPage) -> bool:
        self._found_closed = page.closed
        if page.closed_seq is not None and self._facts.closed is None:
            self._facts.closed = Closed(page.closed_seq)
        if page.exited and page.exit_code is not None and self._facts.exited is None:
            if page.exit_seq is not None:
                self._facts.exited = Exited(page.exit_seq, page.exit_code)
            else:
                self._found = Exited(page.next_seq - 1 - page.closed, page.exit_code)
        self._facts.highest = max(self._facts.highest, page.next_seq - 1)
        return False  # output is no progress: a process that floods would be asked all the time
