"""The idle timeout of one process: it is stopped when it has said nothing for so long."""

from collections.abc import Callable

import trio

from execserver.server.ending import GRACE_SECONDS, LOOK_SECONDS, Ending


class Idleness:
    """How long a process has been silent."""

    def __init__(self, seconds: float, ending: Ending, has_unread: Callable[[], bool]) -> None:
        """``has_unread`` tells whether it has said something that we have not read, since the client does not."""
        self._seconds = seconds
        self._ending = ending
        self._has_unread = has_unread
        self._last_output = trio.current_time()

    def note_output(self) -> None:
        """It has said something."""
        self._last_output = trio.current_time()

    async def watch(self) -> None:
        """Stop it when its time is over; return when it has ended."""
        look_at = self._last_output + self._seconds
        while True:
            with trio.move_on_at(look_at):
                await self._ending.child_ended.wait()
                return
            now = trio.current_time()
            if self._has_unread():
                self._last_output = now
            elif now >= self._last_output + self._seconds:
                self._ending.stop("idleTimeout", GRACE_SECONDS)
                return
            # A timeout of 0 would look all the time.
            look_at = max(self._last_output + self._seconds, now + LOOK_SECONDS)
