"""Spawns a child: its own session, its exact environment, no descriptor beyond 0, 1, 2, every signal at default.

In this thread: a vfork, of 0.1 ms. Nothing is closed in the child: every descriptor of ours has CLOEXEC, the inherited
ones too (`kernel.py`), so that a spawn does not take longer the more children there are.
"""

import errno
import os
import signal
import stat
import termios
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Self

from execserver.server.child import Kin
from execserver.server.guardian import Guardian
from execserver.server.ledger import link_of
from execserver.server.pipes import OutputPipes
from execserver.server.posix_child import PipeSource, PosixChild
from execserver.server.posix_spawn import is_available, posix_spawn
from execserver.wire.errors import INTERNAL_ERROR, Fault, Kind, invalid_params

_KINDS: dict[int, Kind] = {
    errno.ENOENT: "programNotFound",
    errno.ENOTDIR: "notADirectory",
    errno.EACCES: "permissionDenied",
    errno.EPERM: "permissionDenied",
    errno.ENOEXEC: "execFormat",
    errno.E2BIG: "argumentListTooLong",
    errno.EMFILE: "resourceExhausted",
    errno.ENFILE: "resourceExhausted",
    errno.EAGAIN: "resourceExhausted",
    errno.ENOMEM: "resourceExhausted",
}
_NULL: Final[int | bytes] = os.fsencode(os.devnull)  # opened in the child: a call less than opening and closing it here


class Command(NamedTuple):
    """What to spawn."""

    argv: list[str]
    arg0: str | None
    cwd: str | None  # absolute; None is the server's own
    env: dict[str, str] | None  # exact; None is the server's own
    size: tuple[int, int] | None  # rows and columns of its terminal; None for pipes
    pipe_stdin: bool
    merge_stderr: bool


def spawn(command: Command, pipes: OutputPipes, guardian: Guardian, kin: Kin) -> PosixChild:
    """Spawn the child; `Fault` says why not, telling the causes apart by kind. Never yields."""
    if not hasattr(os, "pidfd_open"):
        raise Fault(INTERNAL_ERROR, "processes need Linux 5.3 or newer (pidfd_open)", "unsupportedPlatform")
    if not is_available():
        raise Fault(INTERNAL_ERROR, "processes need glibc 2.29 or musl 1.1.24, or newer", "unsupportedPlatform")
    _check(command)
    try:
        if command.size:
            return _spawn_on_terminal(command, guardian, kin)
        return _spawn_on_pipes(command, pipes, guardian, kin)
    except OSError as error:
        raise _describe(error, command) from error


def _check(command: Command) -> None:
    """Refuse what no kernel needs to be asked about."""
    _check_strings("$.argv", command.argv)
    if command.arg0 is not None:
        _check_strings("$.arg0", [command.arg0])
    if command.env:
        _check_strings("$.env", [*command.env, *command.env.values()])


def _check_strings(path: str, values: list[str]) -> None:
    for value in values:
        if "\0" in value:
            raise invalid_params(path, "Expected a string without NUL", "invalidArgument")
        if not value.isascii() and not _encodable(value):
            raise invalid_params(path, "Expected a string that can be encoded", "invalidArgument")


def _encodable(value: str) -> bool:
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        return False
    return True


class _Descriptors(list[int]):
    """Closed at the end of the block. Who keeps them clears the list."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self:
            os.close(fd)

    def hold(self, fd: int) -> int:
        """Take one more; return it."""
        self.append(fd)
        return fd


def _spawn_on_pipes(command: Command, pipes: OutputPipes, guardian: Guardian, kin: Kin) -> PosixChild:
    with _Descriptors() as ours, _Descriptors() as theirs:
        stdin, feed = _NULL, -1
        if command.pipe_stdin:
            stdin, feed = os.pipe2(os.O_CLOEXEC)
            theirs.hold(stdin)
            os.set_blocking(ours.hold(feed), False)
        out = err = pipes.take()
        sources = [PipeSource(ours.hold(out.reader), "stdout")]
        theirs.hold(out.writer)
        if not command.merge_stderr:
            err = pipes.take()
            sources.append(PipeSource(ours.hold(err.reader), "stderr"))
            theirs.hold(err.writer)
        pid, pidfd = _run(command, (stdin, out.writer, err.writer), f"{out.link} {err.link}", guardian)
        ours.clear()
        return PosixChild(pid, pidfd, sources, feed, tty=False, kin=kin)


def _spawn_on_terminal(command: Command, guardian: Guardian, kin: Kin) -> PosixChild:
    with _Descriptors() as ours, _Descriptors() as theirs:
        master, slave = os.openpty()
        ours.hold(master)
        theirs.hold(slave)  # until the child has its own, or the master would see a hangup
        termios.tcsetwinsize(slave, command.size or (24, 80))
        os.set_blocking(master, False)
        feed = ours.hold(os.dup(master))  # so that reading may end before writing does
        pid, pidfd = _run(command, (os.fsencode(os.ttyname(slave)), 0, 0), link_of(slave), guardian)
        ours.clear()
        return PosixChild(pid, pidfd, [PipeSource(master, "pty")], feed, tty=True, kin=kin)


def _run(command: Command, stdio: Sequence[int | bytes], links: str, guardian: Guardian) -> tuple[int, int]:
    """Start the program; return its pid and its pidfd. The guardian knows of it, by its output, before it exists."""
    guardian.intend(links)
    try:
        pid = _start(command, stdio)
    except BaseException:
        guardian.failed(links)
        raise
    guardian.begin(links, pid)
    try:
        return pid, os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        guardian.end(pid)
        raise


def _start(command: Command, stdio: Sequence[int | bytes]) -> int:
    """Start the first program of that name that can be.

    As execvp(3), but the PATH is the child's own, and a file that is no program is not given to a shell.
    """
    argv = [*map(os.fsencode, command.argv)]
    env = None if command.env is None else [os.fsencode(f"{name}={value}") for name, value in command.env.items()]
    cwd = None if command.cwd is None else os.fsencode(command.cwd)
    refusal: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    for program in _programs(command):
        try:
            if command.arg0 is not None:
                argv[0] = os.fsencode(command.arg0)
            return posix_spawn(os.fsencode(program), argv, env, cwd, stdio)
        except OSError as error:
            if isinstance(refusal, FileNotFoundError | NotADirectoryError):
                refusal = error
    raise refusal


def _programs(command: Command) -> Iterator[str]:
    """Yield what the first argument may mean: itself, or a file of that name in a directory of PATH."""
    name = command.argv[0]
    if "/" in name:
        yield name
    elif name:
        for directory in os.get_exec_path(command.env):
            program = os.path.join(directory, name)
            if not (program.startswith("/") and _is_absent(program)):  # to ask costs less than to try
                yield program


def _is_absent(path: str) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _describe(error: OSError, command: Command) -> Fault:
    kind = _KINDS.get(error.errno or 0, "spawnFailed")
    exhausted = kind == "resourceExhausted"  # which may pass, and came before anything else
    if command.cwd is not None and not exhausted and (refusal := _why_not_entered(command.cwd)) is not None:
        kind = _KINDS.get(refusal.errno or 0, "spawnFailed")
        kind = "cwdNotFound" if kind == "programNotFound" else kind
        message = f"cannot enter {_show(command.cwd)}: {refusal.strerror}"
        return Fault(INTERNAL_ERROR, message, kind, errno=refusal.errno)
    return Fault(INTERNAL_ERROR, f"cannot run {_show(command.argv[0])}: {error.strerror}", kind, errno=error.errno)


def _why_not_entered(directory: str) -> OSError | None:
    """What chdir(2), which comes first in a child, says of it; None if it can be entered. Needs no descriptor."""
    try:
        is_directory = stat.S_ISDIR(os.stat(directory).st_mode)
    except OSError as error:
        return error
    if not is_directory:
        return NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not os.access(directory, os.X_OK):
        return PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return None


def _show(text: str) -> str:
    return repr(text if len(text) <= 200 else text[:200] + "...")
