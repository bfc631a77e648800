"""The process that ends the children when the daemon is killed, seen from the daemon. Linux, and in part elsewhere.

The guardian is a shell that waits for the end of a pipe whose other end only the daemon holds. The kernel closes it
however the daemon dies, and not before every child that is being spawned has reached its exec: until then the child has
a copy of it. So at the end of the pipe no child is half made, and the ledger (``server.ledger``) tells them all.

The shell freezes the groups and hands over to ``server.aftermath``; should that be gone (the environment was removed)
or fail, it kills the groups by itself. A shell, because it is there as long as the daemon: dash holds 1.7 MB, Python
8.8. A group that has ended is never signalled, since its number may be another's by now.

Nothing here yields: a group is written down before it exists, and a checkpoint between the two would be a gap.
"""

import fcntl
import logging
import os
import select
import signal
import sys

from execserver.server.ledger import Ledger

logger = logging.getLogger(__name__)

_SCRIPT = """
trap '' HUP INT QUIT TERM
cd /
while read -r _; do :; done
groups= intents=
while read -r group _; do
    case $group in
    -) intents=1 ;;
    [1-9]*) groups="$groups $group"; kill -STOP -"$group" ;;
    esac
done <&3
[ "$groups$intents" ] || exit 0
"$@" || for group in $groups; do kill -KILL -"$group"; done
"""

_AFTERMATH = """
import sys
sys.path.insert(0, sys.argv[1])
from execserver.server.aftermath import main
main()
"""

_ABOVE_STDIO = 10
CLOSE_SECONDS = 2.0  # what the guardian promises to need


class Guardian:
    """Starts the guardian with the first child, keeps its ledger, and replaces it if it is killed."""

    def __init__(self) -> None:
        self.pid = 0  # 0 while there is none. Whoever reaps the daemon's children leaves this one to `revive`
        self._ledger: Ledger | None = None
        self._pipe = -1  # our end; nothing is ever written to it

    def intend(self, links: str) -> None:
        """Call before a spawn. ``links`` is `ledger.link_of` the child's output; with a blank between several.

        Raises `OSError` if there is no guardian and none can be started: then no child must be.
        """
        if self._ledger is None:
            self._ledger = Ledger()
        self._ensure(self._ledger)
        self._ledger.intend(links)

    def begin(self, links: str, pgid: int) -> None:
        """Call when the spawn has succeeded."""
        assert self._ledger is not None
        self._ledger.begin(links, pgid)

    def failed(self, links: str) -> None:
        """Call when the spawn has failed."""
        assert self._ledger is not None
        self._ledger.failed(links)

    def end(self, pgid: int) -> None:
        """Call when the group is empty. Repeating it is no error."""
        if self._ledger is not None:
            self._ledger.end(pgid)

    def revive(self) -> None:
        """Reap the guardian if it has ended, and start another. Costs a look (waitpid) where it has not."""
        if self._ledger is not None:
            try:
                self._ensure(self._ledger)
            except OSError:
                logger.exception("no guardian can be started; the next start of a process tries again")

    def close(self) -> None:
        """End the guardian, and by it whatever has not ended; return when it is gone. Call this last.

        With nothing left that is a matter of microseconds. Otherwise it takes at most `CLOSE_SECONDS`.
        """
        if self._ledger is None:
            return
        if self.pid:
            os.close(self._pipe)
            if not _has_ended(self.pid):
                if len(self._ledger) == 0:
                    os.kill(self.pid, signal.SIGKILL)
                _reap(self.pid)
        self.pid = 0
        self._ledger.close()
        self._ledger = None

    def _ensure(self, ledger: Ledger) -> None:
        if self.pid:
            if not _has_ended(self.pid):
                return
            logger.warning("the guardian (pid %d) was killed; starting another", self.pid)
            self.pid = 0
            os.close(self._pipe)
        theirs, ours = os.pipe()
        try:
            pipe = fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, _ABOVE_STDIO)
            try:
                self.pid = _spawn(theirs, ledger.descriptor)
            except BaseException:
                os.close(pipe)
                raise
            self._pipe = pipe
        finally:
            os.close(theirs)
            os.close(ours)


def _has_ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # somebody reaped it
        return True


def _spawn(pipe: int, ledger: int) -> int:
    """Start the guardian, with nothing but its two descriptors and with no signal ignored or blocked."""
    aftermath = [sys.executable, "-I", "-S", "-c", _AFTERMATH, _root()]
    actions: list[tuple[int, int] | tuple[int, int, int] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_DUP2, pipe, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, ledger, 3),
        *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in _inheritable()),
    ]
    # Of our environment only what the interpreter may need to be loaded at all.
    env = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    for argv in (["/bin/sh", "-c", _SCRIPT, "execserver-guardian", *aftermath], aftermath):
        try:
            return os.posix_spawn(
                argv[0],
                argv,
                env,
                file_actions=actions,
                setsid=True,  # whoever signals the daemon's group does not mean the guardian
                setsigmask=(),
                setsigdef=signal.valid_signals(),
            )
        except FileNotFoundError:
            if argv is aftermath:
                raise
            logger.info("no /bin/sh: Python is the guardian")
    raise AssertionError


def _root() -> str:
    """Find the directory that holds the package; ``-I -S`` knows none."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _inheritable() -> list[int]:
    """What whoever launched the daemon let it inherit: it would not see their end if the guardian held them."""
    try:
        descriptors = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:
        return []
    return [descriptor for descriptor in descriptors if descriptor > 3 and _is_inheritable(descriptor)]


def _is_inheritable(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:  # the listing's own
        return False


def _reap(pid: int) -> None:
    if hasattr(os, "pidfd_open"):
        descriptor = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(CLOSE_SECONDS * 1000):
            logger.error("the guardian (pid %d) does not end; killing it", pid)
            os.kill(pid, signal.SIGKILL)
        os.close(descriptor)
    os.waitpid(pid, 0)
