"""How the daemon is launched: the same for every adapter."""

import contextlib
import fcntl
import sys
from collections.abc import Sequence

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


def enlarge_pipe(descriptor: int) -> None:
    """Let the pipe hold more, where the system can: fewer wake-ups on both sides."""
    with contextlib.suppress(AttributeError, OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
