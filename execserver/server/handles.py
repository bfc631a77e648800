"""``fs/open``, ``fs/readBlock``, ``fs/writeBlock``, ``fs/close``: files by blocks, under handles of the client's.

What is asked of one handle is done in the order in which it was asked, also when the client does not wait for
answers: each operation waits for the one before it, and takes its turn before the next line is read.
"""

from collections.abc import Callable
from typing import TypeVar

import trio

from execserver.server.eager import step_aside
from execserver.server.in_thread import Threads
from execserver.server.open_file import NotOpen, OpenFile
from execserver.server.paths import parse_path
from execserver.wire.base import Empty
from execserver.wire.errors import INVALID_REQUEST, NOT_FOUND, Fault, Kind
from execserver.wire.files import (
    CloseParams,
    OpenParams,
    OpenResult,
    ReadBlockParams,
    ReadBlockResult,
    WriteBlockParams,
)

# All three are the reference server's.
HANDLES = 128
HANDLE_ID_BYTES = 32
BLOCK_BYTES = 1 << 20

T = TypeVar("T")


class _Handle:
    def __init__(self) -> None:
        self.file = OpenFile()
        self.last_turn: trio.Event | None = None


class Handles:
    """The open files of one session."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._named: dict[str, _Handle] = {}
        self._closing: set[_Handle] = set()

    async def open(self, params: OpenParams) -> OpenResult:
        """Open a file to read, or begin its replacement. The id is taken at once."""
        path = parse_path(params.path, "path")
        name = params.handle_id
        if len(name.encode()) > HANDLE_ID_BYTES:
            raise _refuse(f"file handle ID must not exceed {HANDLE_ID_BYTES} bytes", "invalidArgument")
        if name in self._named:
            raise _refuse(f"file handle `{name}` already exists", "alreadyExists")
        if len(self._named) + len(self._closing) >= HANDLES:
            raise _refuse(f"at most {HANDLES} file handles may be open per connection", "resourceExhausted")
        handle = self._named[name] = _Handle()
        await self._in_turn(name, handle, lambda: handle.file.open(path, replace=params.mode == "replace"))
        return OpenResult(name)

    async def read_block(self, params: ReadBlockParams) -> ReadBlockResult:
        """Read a block; a shorter one, and no other, is at the end of the file."""
        if not 1 <= params.len <= BLOCK_BYTES:
            raise _refuse(f"file read block length must be between 1 and {BLOCK_BYTES}", "invalidArgument")
        handle = self._find(params.handle_id)
        chunk = await self._in_turn(params.handle_id, handle, lambda: handle.file.read(params.offset, params.len))
        return ReadBlockResult(chunk, eof=len(chunk) < params.len)

    async def write_block(self, params: WriteBlockParams) -> Empty:
        """Write a block of a replacement."""
        if not 1 <= len(params.chunk) <= BLOCK_BYTES:
            raise _refuse(f"file write block length must be between 1 and {BLOCK_BYTES}", "invalidArgument")
        handle = self._find(params.handle_id)
        await self._in_turn(params.handle_id, handle, lambda: handle.file.write(params.offset, params.chunk))
        return Empty()

    async def close(self, params: CloseParams) -> Empty:
        """Close a handle, when all that was asked of it before is done. The id is free at once."""
        handle = self._named.pop(params.handle_id, None)
        if handle is None:
            return Empty()
        self._closing.add(handle)
        try:
            await self._in_turn(params.handle_id, handle, handle.file.close)
        finally:
            self._closing.discard(handle)
        return Empty()

    def abandon(self) -> None:
        """Close them all and throw replacements away. Blocking."""
        for handle in (*self._named.values(), *self._closing):
            handle.file.abandon()

    def _find(self, name: str) -> _Handle:
        handle = self._named.get(name)
        if handle is None:
            raise _unknown(name)
        return handle

    async def _in_turn(self, name: str, handle: _Handle, operation: Callable[[], T]) -> T:
        before, done = handle.last_turn, trio.Event()
        handle.last_turn = done
        await step_aside()  # no sooner: the turn is taken in the order of the lines
        try:
            if before is not None:
                await before.wait()
            return await self._threads.run(operation)
        except NotOpen:
            raise _unknown(name) from None
        except Fault:
            if self._named.get(name) is handle:
                del self._named[name]
            raise
        finally:
            done.set()


def _refuse(problem: str, kind: Kind) -> Fault:
    return Fault(INVALID_REQUEST, problem, kind)


def _unknown(name: str) -> Fault:
    return Fault(NOT_FOUND, f"unknown file handle `{name}`", "unknownHandle")
