"""What is asked of the system for this process itself, mostly once, at its start, for every child it will have.

A server inside another program (`execserver.local`) asks for none of this: the process is not its own.
"""

import ctypes
import fcntl
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
# rt_sigaction(2), by machine. glibc keeps the signals 32 and 33 for itself, and its posix_spawn, which make(1) uses,
# leaves them ignored in every program below it. Its sigaction refuses to say otherwise; the kernel does not.
_RT_SIGACTION = {"x86_64": 13, "aarch64": 134}
_GLIBCS = (32, 33)
_DEFAULT_ACTION = bytes(32)  # SIG_DFL, no flags, an empty mask; as long as the longest of these machines' structures
_MASK_BYTES = 8
_SIGSET_BYTES = 128  # of the C libraries, which leave room for more signals than there are
_KEPT_BYTES = 1024 * 1024  # more than the largest buffer that comes and goes all the time: a read of 256 KiB
_ROOM = 256  # descriptors: each thread at work on files may be just opening one, and so many may be
_PYTHONS = {signal.SIGPIPE, signal.SIGXFSZ}  # ignored by Python, for EPIPE and EFBIG


def prepare_process() -> None:
    """Begin as a process that children can be started from."""
    _open_what_is_closed()
    _reset_signals()
    _hide_inherited_descriptors()
    _forget_locale_of_python()
    _keep_freed_memory()
    if sys.platform == "linux":
        _become_subreaper()


def _open_what_is_closed() -> None:
    """Put /dev/null where stdin, stdout or stderr is closed: else the next file that we open would take its place."""
    null = os.open(os.devnull, os.O_RDWR)
    while null <= 2:
        null = os.dup(null)
    os.close(null)


def _reset_signals() -> None:
    """Default and unblocked, as whoever launched us with nohup or in the background did not leave them."""
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN and number not in _PYTHONS:
            signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux" and (rt_sigaction := _RT_SIGACTION.get(os.uname().machine)) is not None:
        for internal in _GLIBCS:
            ctypes.CDLL(None).syscall(ctypes.c_long(rt_sigaction), internal, _DEFAULT_ACTION, None, _MASK_BYTES)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _hide_inherited_descriptors() -> None:
    """Set CLOEXEC on what was open beyond stderr: then no child needs to close anything."""
    for name in os.listdir("/dev/fd"):
        fd = int(name)
        if fd > 2:
            try:
                os.set_inheritable(fd, False)
            except OSError:
                continue  # the descriptor of the listing itself


def _forget_locale_of_python() -> None:
    """Unset LC_CTYPE if only Python set it, as it does for itself in the C locale (PEP 538): children inherit ours."""
    if "LC_CTYPE" in os.environ:
        with suppress(OSError), open("/proc/self/environ", "rb") as given:
            if b"\0LC_CTYPE=" not in b"\0" + given.read():
                del os.environ["LC_CTYPE"]


def _keep_freed_memory() -> None:
    """Let malloc of glibc keep what is freed for the next buffer, instead of giving it back and faulting it in again.

    It does so for blocks as large as the largest that was mapped and freed (mallopt(3), M_MMAP_THRESHOLD), and keeps
    twice that at the end of the heap. It would not learn it from our reads, whose blocks are cut to what was read.
    """
    bytes(_KEPT_BYTES)  # mapped, never touched, and unmapped


def _become_subreaper() -> None:
    """Inherit what leaves its group and loses its parent, so that it can be found and ended."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


@contextmanager
def child_signals() -> Iterator[int]:
    """Block SIGCHLD, and give a descriptor that is readable when a child has ended: signalfd(2). In the main thread.

    A handler would interrupt what is done for that very child, and wake trio by a socket of its own. There is one only
    for the threads that do not block the signal, such as what instruments an interpreter begins before us: it hands on
    to this thread what they have taken. Children must be started with nothing blocked.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    mask = (1 << (signal.SIGCHLD - 1)).to_bytes(_MASK_BYTES, sys.byteorder).ljust(_SIGSET_BYTES, b"\0")
    me = threading.get_ident()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # first: the handler must not call itself
    handler = signal.signal(signal.SIGCHLD, lambda *_: signal.pthread_kill(me, signal.SIGCHLD))
    try:
        descriptor = libc.signalfd(-1, mask, os.O_NONBLOCK | os.O_CLOEXEC)
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), "signalfd")
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL if handler is None else handler)  # None is one in C
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def grow_pipe(fd: int, size: int) -> None:
    """Enlarge a pipe to ``size`` bytes if it is one, if the user's quota allows it, and if the system knows how."""
    if sys.platform == "linux":
        with suppress(OSError):  # slower, and just as right
            if fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ) < size:
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, size)


class DescriptorLimit:
    """The soft limit of open descriptors: ours is the hard one, the children's is the one we were given."""

    def __init__(self) -> None:
        self._given = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._ours = self._given

    def raise_ours(self) -> None:
        """Allow what 1,000 children need: three descriptors each."""
        _, hard = self._given
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            return  # macOS has a lower one that it does not tell
        self._ours = (hard, hard)

    def spawn(self, start: Callable[[], int]) -> int:
        """Start a child that has the given limit; return its pid, as ``start`` does.

        It inherits ours, so ours is lowered for that long, unless that limit has hardly any room: then neither our
        threads nor musl's posix_spawn would get a descriptor. There the child is given its limit when it runs already,
        and may have seen ours.
        """
        if self._ours == self._given:
            return start()
        if not self._has_room():
            pid = start()
            with suppress(ProcessLookupError, PermissionError):  # it ended, or runs a setuid program
                resource.prlimit(pid, resource.RLIMIT_NOFILE, self._given)
            return pid
        resource.setrlimit(resource.RLIMIT_NOFILE, self._given)
        try:
            return start()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, self._ours)

    def _has_room(self) -> bool:
        """Whether what is open does not reach up to the room that the given limit must have; below may be holes."""
        given = self._given[0]
        begin = given - min(_ROOM, given // 4)
        probe = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, begin)
        os.close(probe)
        return probe == begin


descriptor_limit = DescriptorLimit()
