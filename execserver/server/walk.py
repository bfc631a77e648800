"""``fs/walk``: a tree, breadth first, each directory's names sorted, within limits. Blocking.

Directories and regular files are entries. Of links only those to directories are, and only if they are followed; a
directory that is reached twice, as in a loop of links, is an entry each time but is read once.
"""

import os
from collections import deque
from operator import attrgetter
from typing import Literal

from execserver.server.os_fault import describe
from execserver.server.paths import parse_path, quote_path, to_uri
from execserver.wire.errors import INVALID_REQUEST, Fault
from execserver.wire.files import WalkEntry, WalkError, WalkOptions, WalkParams, WalkResult


def walk(params: WalkParams) -> WalkResult:
    """List the tree below a path. What is no directory has nothing below it; a missing path is an error."""
    options = params.options
    if not options.max_entries or not options.max_directories:
        raise Fault(INVALID_REQUEST, "filesystem walk limits must be greater than zero", "invalidArgument")
    root = parse_path(params.path, "path")
    os.stat(root)
    result = WalkResult([], [], truncated=False)
    if not os.path.isdir(root) or (os.path.islink(root) and not options.follow_directory_symlinks):
        return result
    return _Walk(options).run(root)


class _Walk:
    def __init__(self, options: WalkOptions) -> None:
        self._options = options
        self._entries: list[WalkEntry] = []
        self._errors: list[WalkError] = []
        self._looked_at = 0
        self._seen: set[tuple[int, int]] = set()

    def run(self, root: str) -> WalkResult:
        """Walk until the end, or until a limit."""
        waiting = deque([(root, 0)])
        directories_read = 0
        while waiting and self._looked_at <= self._options.max_entries:
            path, depth = waiting.popleft()
            if self._options.follow_directory_symlinks and self._was_read(path):
                continue
            if directories_read == self._options.max_directories:
                return WalkResult(self._entries, self._errors, truncated=True)
            directories_read += 1
            below = self._read(path)
            if depth < self._options.max_depth:
                waiting.extend((directory, depth + 1) for directory in below)
        truncated = self._looked_at > self._options.max_entries
        return WalkResult(self._entries, self._errors, truncated)

    def _was_read(self, path: str) -> bool:
        try:
            found = os.stat(path)
        except OSError:
            return False  # reading it says what is wrong
        identity = (found.st_dev, found.st_ino)
        if identity in self._seen:
            return True
        self._seen.add(identity)
        return False

    def _read(self, path: str) -> list[str]:
        """Make entries of the names in a directory; answer the directories to read in their turn."""
        below: list[str] = []
        try:
            with os.scandir(path) as scanned:
                names = sorted(scanned, key=attrgetter("name"))
        except OSError as error:
            self._errors.append(WalkError(to_uri(path), describe(error)))
            return below
        # The directory's path is quoted once, not with each of its names.
        prefix = to_uri(os.path.join(path, ""))
        for name in names:
            self._looked_at += 1
            if self._looked_at > self._options.max_entries:
                break
            kind = self._kind(name)
            if kind is not None:
                self._entries.append(WalkEntry(prefix + quote_path(name.name), kind))
            if kind == "directory" and not (self._options.prune_hidden_directories and name.name.startswith(".")):
                below.append(name.path)
        return below

    def _kind(self, name: os.DirEntry[str]) -> Literal["directory", "file"] | None:
        if name.is_symlink():
            try:
                return "directory" if self._options.follow_directory_symlinks and name.is_dir() else None
            except OSError:  # a loop
                return None
        if name.is_dir(follow_symlinks=False):
            return "directory"
        return "file" if name.is_file(follow_symlinks=False) else None
