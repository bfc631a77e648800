"""New content for a file that appears whole or not at all: written beside the file, then renamed over it.

The new file has no name until it is whole (O_TMPFILE, open(2)), so that not even a killed server leaves anything
behind; where the file system cannot do that it has a hidden temporary name.

Renaming is impossible where it would change what the path is. Then the file is truncated and written in place, as
the reference server always does, and a failure leaves it half written:

* it has other hard links, which would keep the old content;
* it is no regular file (a device, a FIFO);
* nothing may be created in its directory;
* its owner or its extended attributes (ACLs among them) cannot be given to the new file;
* it is a mount point of its own, as single files in containers are.
"""

import errno
import os
import secrets
import stat

# What says that a file cannot be made beside, not that the content cannot be written.
_NOT_BESIDE = {errno.EACCES, errno.EPERM, errno.EROFS}
_NOT_OVER = {errno.EACCES, errno.EPERM, errno.EBUSY}  # EBUSY: a mount point
_NO_TMPFILE = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL}
_DESCRIPTORS = "/proc/self/fd"
_POUR_BYTES = 1 << 20


class Replacement:
    """The new content of one path, until `commit` or `discard`. Blocking; not for two threads at once.

    A link is followed: what it leads to is replaced, or created. ``mode`` None keeps the mode of what is replaced.
    """

    def __init__(self, path: str, mode: int | None = None) -> None:
        try:
            old: os.stat_result | None = os.stat(path)
        except FileNotFoundError:
            old = None
        self._path = os.path.realpath(path)
        self._name: str | None = None  # of the new file, if it has one
        self._beside = old is None or (stat.S_ISREG(old.st_mode) and old.st_nlink == 1)
        self.fd = -1
        if self._beside:
            try:
                self._open_beside(old, mode)
            except OSError as error:
                self.discard()
                if old is None or error.errno not in _NOT_BESIDE:
                    raise
                self._beside = False
        if not self._beside:
            self._open_in_place(mode)

    def commit(self) -> None:
        """Let the new content take its place. Whatever happens, nothing is left open, or behind."""
        try:
            if self._beside:
                self._take_place()
        finally:
            self.discard()

    def discard(self) -> None:
        """Leave the file as it was, as far as it was not written in place. Harmless when repeated."""
        fd, self.fd = self.fd, -1
        name, self._name = self._name, None
        try:
            if fd >= 0:
                os.close(fd)
        finally:
            if name is not None:
                os.unlink(name)

    def _open_beside(self, old: os.stat_result | None, mode: int | None) -> None:
        if old is not None:
            if not os.access(self._path, os.W_OK, effective_ids=True):
                # Renaming asks nobody: a read-only file would be replaced where it cannot be written.
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), self._path)
            mode = stat.S_IMODE(old.st_mode) if mode is None else mode
        # What is known to get a mode is nobody else's to read until it has it; what is not gets the umask's.
        self._open_new(0o666 if mode is None else 0o600)
        if old is not None:
            new = os.fstat(self.fd)
            if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
                os.fchown(self.fd, old.st_uid, old.st_gid)
            _copy_attributes(self._path, self.fd)
        if mode is not None:
            os.fchmod(self.fd, mode)  # last: fchown takes set-user-ID off

    def _open_new(self, permissions: int) -> None:
        directory = os.path.dirname(self._path)
        if os.path.isdir(_DESCRIPTORS):  # the way to a name, see `_take_place`
            try:
                self.fd = os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, permissions)
            except OSError as error:
                if error.errno not in _NO_TMPFILE:
                    raise
            else:
                return
        name = self._temporary_name()
        self.fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, permissions)
        self._name = name

    def _open_in_place(self, mode: int | None) -> None:
        # Not blocking: a FIFO that nobody reads is ENXIO rather than a thread lost.
        self.fd = os.open(self._path, os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        if mode is not None and stat.S_ISREG(os.fstat(self.fd).st_mode):
            os.fchmod(self.fd, mode)

    def _take_place(self) -> None:
        if self._name is None:
            self._name = self._give_name()
        try:
            os.rename(self._name, self._path)
        except OSError as error:
            if error.errno not in _NOT_OVER:
                raise
            self._pour()
        else:
            self._name = None

    def _give_name(self) -> str:
        name = self._temporary_name()
        # linkat(2) with AT_SYMLINK_FOLLOW, which Python calls only where it gets a directory's descriptor.
        directory = os.open(os.path.dirname(name), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.link(f"{_DESCRIPTORS}/{self.fd}", os.path.basename(name), dst_dir_fd=directory, follow_symlinks=True)
        finally:
            os.close(directory)
        return name

    def _pour(self) -> None:
        """Copy the new content into the old file."""
        assert self._name is not None
        with open(self._name, "rb", buffering=0) as new, open(self._path, "wb", buffering=0) as old:
            while block := new.read(_POUR_BYTES):
                write_all(old.fileno(), block)

    def _temporary_name(self) -> str:
        # Not made of the file's own name: with a prefix that could be too long.
        return os.path.join(os.path.dirname(self._path), f".execserver-{secrets.token_hex(8)}.tmp")


def write_all(fd: int, data: bytes) -> None:
    """Write all of it, without a copy."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def write_at(fd: int, data: bytes, offset: int) -> None:
    """Write all of it at an offset."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(fd, rest, offset)
        rest, offset = rest[written:], offset + written


def _copy_attributes(path: str, fd: int) -> None:
    try:
        names = os.listxattr(path)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return
        raise
    for name in names:
        value = os.getxattr(path, name)
        try:
            os.setxattr(fd, name, value)
        except OSError as error:
            raise PermissionError(errno.EPERM, f"cannot keep {name}", path) from error
