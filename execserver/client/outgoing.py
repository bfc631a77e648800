"""What is on its way to a daemon's stdin, a descriptor that does not block."""

import os
from collections.abc import Callable


class Outgoing:
    """Bytes that the pipe has not taken yet, and behind them what the core has to send."""

    def __init__(self, take: Callable[[], bytes]) -> None:
        """``take`` gives all that is to be sent: it stays with the core, where it is bounded, as long as possible."""
        self._take = take
        self._unsent = memoryview(b"")

    def __bool__(self) -> bool:
        """Whether the pipe has refused something: `write` again when it takes more."""
        return bool(self._unsent)

    def write(self, descriptor: int) -> None:
        """Write what the pipe takes now."""
        try:
            while unsent := self._unsent or memoryview(self._take()):
                self._unsent = unsent
                self._unsent = unsent[os.write(descriptor, unsent) :]
        except BlockingIOError:  # the rest waits until the descriptor is writable
            return
        except OSError:  # it reads no more, which whoever watches the descriptor sees
            self._unsent = memoryview(b"")
