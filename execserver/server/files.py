"""``fs/*`` (wire, section 7): the table of its methods. What they do is in modules of their own.

Requests for confinement are refused before anything else is looked at. What blocks runs in threads.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import trio

from execserver.server import content, tree, walk
from execserver.server.confinement import refuse_confinement
from execserver.server.handles import Handles
from execserver.server.in_thread import Threads
from execserver.server.method import Handler, Method
from execserver.wire import files
from execserver.wire.base import Message

P = TypeVar("P", bound=files.Confinable)

# For closing what is open at the end: a dead mount gets no more.
CLOSE_SECONDS = 0.7


class Files:
    """The file methods of one session, and what they have open."""

    def __init__(self) -> None:
        self._threads = Threads()
        self._handles = Handles(self._threads)
        self.methods: dict[str, Method] = {
            "fs/readFile": self._blocking(files.ReadFileParams, content.read_file),
            "fs/writeFile": self._blocking(files.WriteFileParams, content.write_file),
            "fs/createDirectory": self._blocking(files.CreateDirectoryParams, content.create_directory),
            "fs/getMetadata": self._blocking(files.PathParams, content.get_metadata),
            "fs/canonicalize": self._blocking(files.PathParams, content.canonicalize),
            "fs/readDirectory": self._blocking(files.PathParams, content.read_directory),
            "fs/walk": self._blocking(files.WalkParams, walk.walk),
            "fs/remove": self._blocking(files.RemoveParams, tree.remove),
            "fs/copy": self._blocking(files.CopyParams, tree.copy),
            "fs/open": Method(files.OpenParams, _confinable(self._handles.open)),
            "fs/readBlock": Method(files.ReadBlockParams, self._handles.read_block),
            "fs/writeBlock": Method(files.WriteBlockParams, self._handles.write_block),
            "fs/close": Method(files.CloseParams, self._handles.close),
        }

    async def aclose(self) -> None:
        """Close every handle; replacements that were not closed are thrown away. Bounded in time."""
        with trio.move_on_after(CLOSE_SECONDS, shield=True):
            await trio.to_thread.run_sync(self._handles.abandon, abandon_on_cancel=True)

    def _blocking(self, params: type[P], function: Callable[[P], Message]) -> Method:
        async def handle(asked: Any) -> Message:
            return await self._threads.run(function, asked)

        return Method(params, _confinable(handle))


def _confinable(handle: Handler) -> Handler:
    async def refuse_or_handle(asked: Any) -> Message:
        refuse_confinement(sandbox=asked.sandbox)
        return await handle(asked)

    return refuse_or_handle
