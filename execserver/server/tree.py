"""``fs/remove`` and ``fs/copy``: what may reach below a path. Blocking.

No link is followed in what is removed or copied.
"""

import os
import shutil
import stat

from execserver.server.content import open_regular
from execserver.server.paths import parse_path, shown
from execserver.server.replacement import Replacement, write_all
from execserver.wire.base import Empty
from execserver.wire.errors import INVALID_REQUEST, Fault
from execserver.wire.files import CopyParams, RemoveParams

_BLOCK_BYTES = 1 << 20


def remove(params: RemoveParams) -> Empty:
    """Remove a file, a link, or a directory: an empty one, or with ``recursive`` any."""
    path = parse_path(params.path, "path")
    if os.path.basename(path) in ("", ".", ".."):
        # As rm(1) does: the root, or a directory under another name than its own, is a slip.
        raise Fault(INVALID_REQUEST, f"fs/remove refuses `{shown(path)}`", "invalidArgument")
    try:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
        elif params.recursive:
            shutil.rmtree(path)
        else:
            os.rmdir(path)
    except FileNotFoundError:
        if not params.force:
            raise
    return Empty()


def copy(params: CopyParams) -> Empty:
    """Copy a file over or to a path, a link as a link, or a directory to or into a directory.

    Modes are kept, times and owners are not. A directory that exists is merged with, its files are replaced. In a
    tree, what is neither file nor directory nor link is left out.
    """
    source = parse_path(params.source_path, "sourcePath")
    destination = parse_path(params.destination_path, "destinationPath")
    mode = os.lstat(source).st_mode
    if stat.S_ISDIR(mode):
        if not params.recursive:
            problem = "fs/copy requires recursive: true when sourcePath is a directory"
            raise Fault(INVALID_REQUEST, problem, "isADirectory")
        if _is_within(destination, source):
            problem = "fs/copy cannot copy a directory to itself or one of its descendants"
            raise Fault(INVALID_REQUEST, problem, "invalidArgument")
        os.makedirs(os.path.dirname(destination), exist_ok=True)
    elif not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        problem = "fs/copy only supports regular files, directories, and symlinks"
        raise Fault(INVALID_REQUEST, problem, "notARegularFile")
    _copy_any(source, destination, mode)
    return Empty()


def _is_within(destination: str, source: str) -> bool:
    inner, outer = os.path.realpath(destination), os.path.realpath(source)
    return os.path.commonpath([inner, outer]) == outer


def _copy_any(source: str, destination: str, mode: int) -> None:
    if stat.S_ISDIR(mode):
        _copy_directory(source, destination, stat.S_IMODE(mode))
    elif stat.S_ISLNK(mode):
        os.symlink(os.readlink(source), destination)
    elif stat.S_ISREG(mode):
        _copy_file(source, destination, stat.S_IMODE(mode))


def _copy_directory(source: str, destination: str, mode: int) -> None:
    try:
        # Nobody else's until all is in it: it may be private, and it may be read-only.
        os.mkdir(destination, 0o700)
        made = True
    except FileExistsError:
        if not os.path.isdir(destination):
            raise
        made = False
    with os.scandir(source) as names:
        for name in names:
            _copy_any(name.path, os.path.join(destination, name.name), name.stat(follow_symlinks=False).st_mode)
    if made:
        os.chmod(destination, mode)


def _copy_file(source: str, destination: str, mode: int) -> None:
    fd = open_regular(source)
    try:
        if os.path.exists(destination) and os.path.samefile(source, destination):
            return  # it is its own copy; the reference server empties it
        new = Replacement(destination, mode)
        try:
            while block := os.read(fd, _BLOCK_BYTES):
                write_all(new.fd, block)
            new.commit()
        finally:
            new.discard()
    finally:
        os.close(fd)
