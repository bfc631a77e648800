"""What is known of a daemon that was launched, and when it is gone. No I/O, no clock.

The adapter says what it sees, in whatever order. Rules:

1. Each of these is a sign that the daemon goes: its stdout has ended; nobody reads its stdin, so that no answer will
   come; it has exited. That its stderr has ended is none: it may close it and live on.
2. What is still in the pipes may say why, and so does the status: from the first sign on all three are waited for, but
   not for long. A child of the daemon may hold the pipes, and one that closed them may live on.
3. Then the core hears of the end, once.
"""

import signal
from collections.abc import Callable

from execserver.client.core import ClientCore
from execserver.client.stderr import Stderr

LAST_WORDS_SECONDS = 1.0  # how long the rest may take after the first sign


class Daemon:
    """See the module's rules. ``on_sign`` is called at the first sign; `part` is due `LAST_WORDS_SECONDS` later."""

    def __init__(self, core: ClientCore, name: str, stderr: Stderr, on_sign: Callable[[], None]) -> None:
        self.core = core
        self.name = name
        self.stderr = stderr
        self.status: int | None = None  # its exit status; negative: the signal that killed it
        self._awaited = {"stdout", "stderr", "status"}
        self._on_sign = on_sign
        self._going = False
        self._gone = False

    def output_ended(self) -> None:
        """All that it wrote to stdout was read."""
        self._see("stdout")

    def errors_ended(self) -> None:
        """All that it wrote to stderr was read."""
        self._see("stderr", sign=False)

    def input_broken(self) -> None:
        """Nobody reads its stdin any more; or we have closed it, and then the core has ended before."""
        self._see("stdin")

    def exited(self, status: int) -> None:
        """It has ended."""
        self.status = status
        self._see("status")
        self.core.parking.wake_all()  # for who waits for just this: the connection may be closed already

    def part(self) -> None:
        """Wait for nothing more: the core hears of the end, if it has not."""
        if not self._gone:
            self._gone = True
            self.core.end_of_file(f"{self.name} {_describe(self.status)}{self.stderr.said}")

    def _see(self, what: str, *, sign: bool = True) -> None:
        self._awaited.discard(what)
        if sign and not self._going:
            self._going = True
            self._on_sign()
        if self._going and not self._awaited:
            self.part()


def _describe(status: int | None) -> str:
    if status is None:
        return "closed the connection"
    return f"exited with {status}" if status >= 0 else f"was killed by {_signal_name(-status)}"


def _signal_name(number: int) -> str:
    """Name a signal. Most of the real-time signals (signal(7)) have no name, and still can kill."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
