"""The beginning of the session, which is not waited for without end: the command may be no daemon. No I/O."""

from collections.abc import Callable

from execserver.client.daemon import Daemon
from execserver.client.errors import Disconnected
from execserver.client.source import Source


class Handshake(Source[None]):
    """The answer to ``initialize``, or `Disconnected` after ``timeout`` seconds by the ``clock``."""

    def __init__(self, daemon: Daemon, client_name: str, timeout: float, clock: Callable[[], float]) -> None:
        self._daemon = daemon
        self._timeout = timeout
        self._clock = clock
        self._until = clock() + timeout
        self._late = False
        self._call = daemon.core.initialize(client_name)
        self._call.wake = self._stirred

    @property
    def patience(self) -> float:
        """What is left of the time, whatever else wakes who waits."""
        return max(0.0, self._until - self._clock())

    def advance(self) -> bool:
        """Whether the answer is there, or not waited for."""
        return self._late or self._call.advance()

    def expire(self) -> None:
        """Its time is over."""
        self._late = True

    def take(self) -> None:
        """Raise if the session has not begun."""
        if not self._call.advance():
            name, said = self._daemon.name, self._daemon.core.said + self._daemon.stderr.said
            raise Disconnected(f"{name} did not answer initialize within {self._timeout:g} s{said}")
        self._call.take()

    def cancel(self) -> None:
        """Ignore the answer."""
        self._call.cancel()

    def _stirred(self) -> None:
        self.wake()
