"""How a daemon is ended: end of file, SIGTERM, SIGKILL, each with its time. No I/O.

The adapter closes the daemon's stdin, and waits for an `Ending`.
"""

import signal
from collections.abc import Callable

from execserver.client.daemon import Daemon
from execserver.client.source import Source

KILLED_SECONDS = 1.0  # for a killed daemon to end; one in an uninterruptible call is not waited for
KILL = signal.SIGKILL, KILLED_SECONDS


class Ending(Source[None]):
    """The exit of a daemon whose stdin is closed; it is killed after ``timeout`` seconds by the ``clock``."""

    def __init__(
        self, daemon: Daemon, timeout: float, clock: Callable[[], float], send_signal: Callable[[signal.Signals], None]
    ) -> None:
        self._daemon = daemon
        self._clock = clock
        self._send_signal = send_signal
        self._until = clock() + timeout * 0.8  # the end of a daemon takes the grace and the drain of its processes
        self._steps = [(signal.SIGTERM, timeout * 0.2), KILL]
        self._given_up = False

    @property
    def patience(self) -> float:
        """Until the next step."""
        return max(0.0, self._until - self._clock())

    def advance(self) -> bool:
        """Whether it has ended, or is not waited for any more."""
        return self._daemon.status is not None or self._given_up

    def expire(self) -> None:
        """Take the next step."""
        if self._steps:
            number, seconds = self._steps.pop(0)
            self._send_signal(number)
            self._until = self._clock() + seconds
        else:
            self._given_up = True

    def take(self) -> None:
        """Nothing: how it ended is of no interest to who ended it."""

    def kill(self) -> None:
        """Take the last step now. Whoever was interrupted waits once more, and not for long."""
        self._steps = [KILL]
        self.expire()
