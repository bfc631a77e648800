"""Spawns a child: its own session, its exact environment, no descriptor beyond 0, 1, 2, every signal at default.

`subprocess.Popen`, in this thread: a vfork, 0.2 ms, as long as no Python code has to run in the child. For a terminal
some has, the ioctl that makes it the controlling one, and that is a fork of 4 ms. `os.posix_spawn` would do both
without (opening a terminal after setsid gives it), but glibc's leaves the signals 32 and 33 ignored in the child.

Nothing is closed in the child: every descriptor of ours has CLOEXEC, the inherited ones too (`kernel.py`), so that a
spawn does not take longer the more children there are.
"""

import errno
import fcntl
import os
import termios
from subprocess import Popen
from typing import NamedTuple, Self

from execserver.server.child import Kin
from execserver.server.guardian import Guardian
from execserver.server.kernel import descriptor_limit
from execserver.server.ledger import link_of
from execserver.server.posix_child import PipeSource, PosixChild
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


class Command(NamedTuple):
    """What to spawn."""

    argv: list[str]
    arg0: str | None
    cwd: str | None  # absolute; None is the server's own
    env: dict[str, str] | None  # exact; None is the server's own
    size: tuple[int, int] | None  # rows and columns of its terminal; None for pipes
    pipe_stdin: bool
    merge_stderr: bool


def spawn(command: Command, guardian: Guardian, kin: Kin) -> PosixChild:
    """Spawn the child; `Fault` says why not, telling the causes apart by kind. Never yields."""
    if not hasattr(os, "pidfd_open"):
        raise Fault(INTERNAL_ERROR, "processes need Linux 5.3 or newer (pidfd_open)", "unsupportedPlatform")
    _check(command)
    try:
        if not command.argv[0]:  # `Popen` would look for it in PATH, and find the directories themselves
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return (_spawn_on_terminal if command.size else _spawn_on_pipes)(command, guardian, kin)
    except OSError as error:
        raise _describe(error, command) from error


def _check(command: Command) -> None:
    """Refuse what no kernel needs to be asked about."""
    env = command.env or {}
    strings = {"$.argv": command.argv, "$.arg0": [command.arg0 or ""], "$.env": [*env, *env.values()]}
    for path, values in strings.items():
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


def _spawn_on_pipes(command: Command, guardian: Guardian, kin: Kin) -> PosixChild:
    with _Descriptors() as ours, _Descriptors() as theirs:
        if command.pipe_stdin:
            stdin, feed = _open_pipe(reader=theirs, writer=ours)
            os.set_blocking(feed, False)
        else:
            stdin, feed = theirs.hold(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)), -1
        out, stdout = _open_pipe(reader=ours, writer=theirs)
        os.set_blocking(out, False)
        sources = [PipeSource(out, "stdout")]
        stderr = stdout
        if not command.merge_stderr:
            err, stderr = _open_pipe(reader=ours, writer=theirs)
            os.set_blocking(err, False)
            sources.append(PipeSource(err, "stderr"))
        links = f"{link_of(stdout)} {link_of(stderr)}"
        popen, pidfd = _run(command, (stdin, stdout, stderr), links, guardian)
        ours.clear()
        return PosixChild(popen, pidfd, sources, feed, tty=False, kin=kin)


def _spawn_on_terminal(command: Command, guardian: Guardian, kin: Kin) -> PosixChild:
    with _Descriptors() as ours, _Descriptors() as theirs:
        master, slave = os.openpty()
        ours.hold(master)
        theirs.hold(slave)  # until the child has its own, or the master would see a hangup
        termios.tcsetwinsize(slave, command.size or (24, 80))
        os.set_blocking(master, False)
        feed = ours.hold(os.dup(master))  # so that reading may end before writing does
        popen, pidfd = _run(command, (slave, slave, slave), link_of(slave), guardian)
        ours.clear()
        return PosixChild(popen, pidfd, [PipeSource(master, "pty")], feed, tty=True, kin=kin)


def _run(command: Command, stdio: tuple[int, int, int], links: str, guardian: Guardian) -> tuple[Popen[bytes], int]:
    """Spawn; return the child and its pidfd. The guardian knows of it, by its output, before it exists."""
    guardian.intend(links)
    stdin, stdout, stderr = stdio
    try:
        popen = descriptor_limit.spawn(
            lambda: Popen(
                [command.argv[0] if command.arg0 is None else command.arg0, *command.argv[1:]],
                executable=command.argv[0],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd=command.cwd,
                env=command.env,
                close_fds=False,
                start_new_session=True,
                preexec_fn=None if command.size is None else _take_terminal,
            )
        )
    except BaseException:
        guardian.failed(links)
        raise
    guardian.begin(links, popen.pid)
    try:
        return popen, os.pidfd_open(popen.pid)
    except OSError:
        popen.kill()
        popen.wait()
        guardian.end(popen.pid)
        raise


def _take_terminal() -> None:
    """Make stdin the controlling terminal; in the child, which leads a new session. Only a system call may be here."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _describe(error: OSError, command: Command) -> Fault:
    kind = _KINDS.get(error.errno or 0, "spawnFailed")
    if error.filename == command.cwd and command.cwd is not None:  # so `Popen` says that it was the chdir
        kind = "cwdNotFound" if kind == "programNotFound" else kind
        return Fault(INTERNAL_ERROR, f"cannot enter {_show(command.cwd)}: {error.strerror}", kind, errno=error.errno)
    return Fault(INTERNAL_ERROR, f"cannot run {_show(command.argv[0])}: {error.strerror}", kind, errno=error.errno)


def _open_pipe(*, reader: _Descriptors, writer: _Descriptors) -> tuple[int, int]:
    read, write = os.pipe2(os.O_CLOEXEC)
    return reader.hold(read), writer.hold(write)


def _show(text: str) -> str:
    return repr(text if len(text) <= 200 else text[:200] + "...")
