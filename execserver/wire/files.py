"""``fs/*``: params and results. No I/O.

Paths are ``file:`` URIs or absolute native paths; what is answered is always a URI. ``sandbox`` is judged by its
value in every method, see ``server.confinement``.
"""

from typing import Any, Literal

from execserver.wire.base import Count, Message


class Confinable(Message, frozen=True, kw_only=True):
    """What every ``fs/*`` request that names a path may carry."""

    sandbox: Any = None


class PathParams(Confinable, frozen=True):
    """A path and nothing else."""

    path: str


class ReadFileParams(Confinable, frozen=True):
    """``max_bytes`` refuses a larger file; absent: no limit but the memory's."""

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
    """``recursive`` creates what is missing above, and takes an existing directory for success."""

    path: str
    recursive: bool = False


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
    """The limits of a walk. ``max_depth`` 1 is the directory's own entries."""

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
    """One directory or file below the root."""

    path: str
    kind: Literal["directory", "file"]


class WalkError(Message, frozen=True):
    """A directory that could not be read; the walk went on."""

    path: str
    message: str


class WalkResult(Message, frozen=True):
    """``truncated`` says that a limit cut the walk short."""

    entries: list[WalkEntry]
    errors: list[WalkError]
    truncated: bool


class RemoveParams(Confinable, frozen=True):
    """``force`` takes a missing path for success."""

    path: str
    recursive: bool = False
    force: bool = False


class CopyParams(Confinable, frozen=True):
    """A directory is copied only with ``recursive``."""

    source_path: str
    destination_path: str
    recursive: bool


class OpenParams(Confinable, frozen=True):
    """``replace`` opens a new file beside ``path`` that takes its place when the handle is closed."""

    path: str
    handle_id: str
    mode: Literal["read", "replace"] = "read"


class OpenResult(Message, frozen=True):
    """The handle, as the client named it."""

    handle_id: str


class ReadBlockParams(Message, frozen=True):
    """``len`` is 1 to 1 MiB."""

    handle_id: str
    offset: Count
    len: int


class ReadBlockResult(Message, frozen=True):
    """``eof`` when the block reaches the end of the file."""

    chunk: bytes
    eof: bool


class WriteBlockParams(Message, frozen=True):
    """``chunk`` is at most 1 MiB."""

    handle_id: str
    offset: Count
    chunk: bytes


class CloseParams(Message, frozen=True):
    """The handle to close."""

    handle_id: str
