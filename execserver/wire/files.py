"""``fs/*``: params and results. No I/O.

Paths are ``file:`` URIs or absolute native paths; what is answered is always a URI. ``sandbox`` is judged by its
value in every method, see ``server.confinement``.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta

from execserver.wire.base import Count, Message

Offset = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # off_t


class Confinable(Message, frozen=True, kw_only=True):
    """What every ``fs/*`` request that names a path may carry."""

    sandbox: Any = None


class PathParams(Confinable, frozen=True):
    """A path and nothing else."""

    path: str


class ReadFileParams(Confinable, frozen=True):
    """``max_bytes`` refuses a larger file; the limit that always holds is 512 MiB."""

    path: str
    max_bytes: Count | None = None


class ReadFileResult(Message, frozen=True):
    """The whole content."""

    data_base64: bytes


class WriteFileParams(Confinable, frozen=True):
    """The whole new content."""

    path: str
    data_base64: bytes


class CreateDirectoryParams(Confinable, frozen=True):
    """``recursive`` (the default) creates what is missing above, and takes an existing directory for success."""

    path: str
    recursive: bool | None = None


class Metadata(Message, frozen=True):
    """All six members, always. Times are milliseconds since the epoch; 0 where the system does not say."""

    is_directory: bool
    is_file: bool
    is_symlink: bool
    size: int
    created_at_ms: int
    modified_at_ms: int


class CanonicalizeResult(Message, frozen=True):
    """The path with every link resolved, as a URI."""

    path: str


class DirectoryEntry(Message, frozen=True):
    """A name in a directory; links are described by what they lead to."""

    file_name: str
    is_directory: bool
    is_file: bool


class ReadDirectoryResult(Message, frozen=True):
    """The names in a directory, sorted."""

    entries: list[DirectoryEntry]


class WalkOptions(Message, frozen=True):
    """The limits of a walk. ``max_depth`` 0 is the root's own entries.

    ``max_entries`` counts every name that is looked at, ``max_directories`` every directory that is read, the root
    among them; both at least 1. A hidden directory that is pruned is an entry, but is not read.
    """

    max_depth: Count
    max_entries: Count
    max_directories: Count
    follow_directory_symlinks: bool = False
    prune_hidden_directories: bool = False


class WalkParams(Confinable, frozen=True):
    """The root of the walk, which is not an entry itself."""

    path: str
    options: WalkOptions


class WalkEntry(Message, frozen=True):
    """One directory or regular file below the root. Of links only those to directories, and those if followed."""

    path: str
    kind: Literal["directory", "file"]


class WalkError(Message, frozen=True):
    """What could not be read; the walk went on."""

    path: str
    message: str


class WalkResult(Message, frozen=True):
    """``truncated`` says that a limit cut the walk short."""

    entries: list[WalkEntry]
    errors: list[WalkError]
    truncated: bool


class RemoveParams(Confinable, frozen=True):
    """``force`` takes a missing path for success. Null is false, as absence is."""

    path: str
    recursive: bool | None = None
    force: bool | None = None


class CopyParams(Confinable, frozen=True):
    """A directory is copied only with ``recursive``."""

    source_path: str
    destination_path: str
    recursive: bool


class OpenParams(Confinable, frozen=True):
    """``replace`` opens a new, empty file that takes the place of ``path`` when the handle is closed.

    ``handle_id`` is at most 32 bytes long, and not that of another open handle.
    """

    path: str
    handle_id: str
    mode: Literal["read", "replace"] = "read"


class OpenResult(Message, frozen=True):
    """The handle, as the client named it."""

    handle_id: str


class ReadBlockParams(Message, frozen=True):
    """``len`` is 1 to 1 MiB."""

    handle_id: str
    offset: Offset
    len: Count


class ReadBlockResult(Message, frozen=True):
    """``eof`` when the file ended within the block, so that it is shorter than was asked for."""

    chunk: bytes
    eof: bool


class WriteBlockParams(Message, frozen=True):
    """``chunk`` is 1 byte to 1 MiB."""

    handle_id: str
    offset: Offset
    chunk: bytes


class CloseParams(Message, frozen=True):
    """The handle to close."""

    handle_id: str
