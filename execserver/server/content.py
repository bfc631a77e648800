"""``fs/readFile``, ``fs/writeFile``, ``fs/getMetadata`` and their like: one path, one answer. Blocking.

Links are followed, except where it is said that they are not.
"""

import os
import stat

from execserver.server.paths import parse_path, shown, to_uri
from execserver.server.replacement import Replacement, write_all
from execserver.wire.base import Empty
from execserver.wire.errors import INVALID_REQUEST, Fault
from execserver.wire.files import (
    CanonicalizeResult,
    CreateDirectoryParams,
    DirectoryEntry,
    Metadata,
    PathParams,
    ReadDirectoryResult,
    ReadFileParams,
    ReadFileResult,
    WriteFileParams,
)

# The reference server's limit. The answer is one line, held whole, a third larger; beyond it there are handles.
LARGEST_READ = 512 << 20
_READ_AHEAD = 64 << 10


def read_file(params: ReadFileParams) -> ReadFileResult:
    """Read a regular file whole, whatever size it claims: those of /proc claim 0."""
    path = parse_path(params.path, "path")
    limit = LARGEST_READ if params.max_bytes is None else min(params.max_bytes, LARGEST_READ)
    fd = open_regular(path)
    try:
        return ReadFileResult(_read_all(fd, limit))
    finally:
        os.close(fd)


def open_regular(path: str) -> int:
    """Open a regular file to read, and nothing else: a FIFO would block, a device might act on being opened."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise not_a_file(path)
    # Not blocking: it may have become a FIFO since.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise not_a_file(path)
    return fd


def not_a_file(path: str) -> Fault:
    """Make the -32600 for what is there, but is no regular file."""
    return Fault(INVALID_REQUEST, f"path `{shown(path)}` is not a file", "notARegularFile")


def _read_all(fd: int, limit: int) -> bytes:
    size = os.fstat(fd).st_size
    blocks: list[bytes] = []
    total = 0
    # The whole of it in one read: where one block is all there is no copy is made.
    while max(size, total) <= limit and (block := os.read(fd, max(size - total, _READ_AHEAD))):
        blocks.append(block)
        total += len(block)
    if max(size, total) > limit:
        raise Fault(INVALID_REQUEST, f"file is too large to read: limit is {limit} bytes", "tooLarge")
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)


def write_file(params: WriteFileParams) -> Empty:
    """Replace a file's content, or create the file; see `Replacement`."""
    new = Replacement(parse_path(params.path, "path"))
    try:
        write_all(new.fd, params.data_base64)
        new.commit()
    finally:
        new.discard()
    return Empty()


def create_directory(params: CreateDirectoryParams) -> Empty:
    """Create a directory, by default with what is missing above it."""
    path = parse_path(params.path, "path")
    if params.recursive is False:
        os.mkdir(path)
    else:
        os.makedirs(path, exist_ok=True)
    return Empty()


def get_metadata(params: PathParams) -> Metadata:
    """Describe what a path leads to, and whether it is a link itself."""
    path = parse_path(params.path, "path")
    found = os.stat(path)  # first: a link to nothing is a missing path
    return Metadata(
        is_directory=stat.S_ISDIR(found.st_mode),
        is_file=stat.S_ISREG(found.st_mode),
        is_symlink=os.path.islink(path),
        size=found.st_size,
        created_at_ms=0,  # statx(2) alone knows it, and Python has no statx yet
        modified_at_ms=max(0, found.st_mtime_ns // 1_000_000),
    )


def canonicalize(params: PathParams) -> CanonicalizeResult:
    """Resolve every link of a path that must exist."""
    return CanonicalizeResult(to_uri(os.path.realpath(parse_path(params.path, "path"), strict=True)))


def read_directory(params: PathParams) -> ReadDirectoryResult:
    """List the names in a directory, those of links to nothing too: whoever empties it needs them all."""
    with os.scandir(parse_path(params.path, "path")) as names:
        entries = [DirectoryEntry(shown(entry.name), *_kind(entry)) for entry in names]
    entries.sort(key=lambda entry: entry.file_name)
    return ReadDirectoryResult(entries)


def _kind(entry: os.DirEntry[str]) -> tuple[bool, bool]:
    try:
        return entry.is_dir(), entry.is_file()
    except OSError:  # a loop of links; one to nothing is no error here
        return False, False
