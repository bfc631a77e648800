"""How the daemon is launched and ended: the same for every adapter."""

import contextlib
import fcntl
import signal
import sys
from collections.abc import Sequence

KILLED_SECONDS = 1.0  # for a killed daemon to end; one in an uninterruptible call is not waited for
READ_BYTES = 256 << 10
PIPE_BYTES = 1 << 20


def command_line(command: Sequence[str] | None) -> tuple[list[str], int | None]:
    """Give the command to launch, and the process group for it: None is this program's, 0 its own."""
    if command is None:
        # In a process group of its own: Ctrl-C is this program's, and ending the daemon is this program's decision.
        # Not so for other commands: ssh must stay in the foreground to ask for a password.
        return [sys.executable, "-m", "execserver"], 0
    if isinstance(command, str | bytes):
        raise TypeError("command is a sequence of arguments, not a command line; there is no shell")
    if not command:
        raise ValueError("command is empty: there is nothing to launch")
    return list(command), None


def shutdown_steps(timeout: float) -> tuple[tuple[signal.Signals | None, float], ...]:
    """Give what ends the daemon: a signal (None: end of file) and how long to wait after it."""
    return (None, timeout * 0.8), (signal.SIGTERM, timeout * 0.2), (signal.SIGKILL, KILLED_SECONDS)


def enlarge_pipe(descriptor: int) -> None:
    """Let the pipe hold more, where the system can: fewer wake-ups on both sides."""
    with contextlib.suppress(AttributeError, OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
