"""One client's session: the table of its methods, the handshake's answer, and the methods about the server itself.

The table names everything and imports little: ``fs/*`` and ``http/request`` are imported at their first use.
"""

import logging
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any

import trio

from execserver import __version__
from execserver.server.environment import environment_info
from execserver.server.method import Method
from execserver.server.outbox import Outbox
from execserver.server.processes import Processes
from execserver.wire.base import Empty, Message
from execserver.wire.envelope import Notification, encode_line
from execserver.wire.errors import INVALID_REQUEST, Fault
from execserver.wire.names import EXTENSIONS, FILE_METHODS, HTTP_METHODS
from execserver.wire.session import (
    PROTOCOL_VERSION,
    Capabilities,
    EnvironmentInfo,
    InitializeParams,
    InitializeResult,
    ServerInfo,
)

logger = logging.getLogger(__name__)


class Session(Mapping[str, Method]):
    """The methods of one session, by name. Looking one up may import it; asking whether it is there does not."""

    def __init__(
        self, processes: Processes, outbox: Outbox, requests: trio.Nursery, shut_down: Callable[[], None]
    ) -> None:
        """``requests`` is for what outlives its answer (a streamed body); ``shut_down`` ends the session."""
        self._outbox = outbox
        self._requests = requests
        self._shut_down = shut_down
        self._closing: list[Callable[[], Awaitable[None]]] = []
        self._methods: dict[str, Method] = {
            "environment/info": Method(Empty, self._environment_info),
            "ping": Method(Empty, self._ping),
            "shutdown": Method(Empty, self._shutdown),
            "rpc.discover": Method(Empty, self._discover),
            **processes.methods,
        }
        self._lazy: dict[str, Callable[[], dict[str, Method]]] = {
            **dict.fromkeys(FILE_METHODS, self._load_files),
            **dict.fromkeys(HTTP_METHODS, self._load_http),
        }

    def initialize(self, params: InitializeParams) -> InitializeResult:
        """Answer ``initialize``. Every session begins anew, so none can be resumed."""
        if params.resume_session_id is not None:
            raise Fault(INVALID_REQUEST, f"unknown session id {params.resume_session_id}", "unknownSession")
        logger.info("session of %s", params.client_name)
        return InitializeResult(
            session_id=str(uuid.uuid4()),
            environment_info=environment_info(),
            server_info=ServerInfo("execserver", __version__),
            protocol_version=PROTOCOL_VERSION,
            capabilities=Capabilities(methods=tuple(self), extensions=EXTENSIONS),
        )

    async def aclose(self) -> None:
        """Give up what the session holds besides its processes."""
        async with trio.open_nursery() as nursery:
            for close in self._closing:
                nursery.start_soon(close)

    def __getitem__(self, name: str) -> Method:
        """Look a method up, importing it at its first use."""
        if name in self._lazy:
            self._methods.update(self._lazy[name]())  # still there for another try, should the import fail
        return self._methods[name]

    def __iter__(self) -> Iterator[str]:
        """Name what is served. ``http/request`` is there to be called without its extra, to say what is missing."""
        yield "initialize"
        yield from self._methods
        for name in self._lazy:
            if name not in HTTP_METHODS or find_spec("httpx") is not None:
                yield name

    def __len__(self) -> int:
        """How many methods are served."""
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        """Whether it can be called."""
        return name in self._methods or name in self._lazy

    async def _environment_info(self, _: Empty) -> EnvironmentInfo:
        return environment_info()

    async def _ping(self, _: Empty) -> Empty:
        return Empty()

    async def _shutdown(self, _: Empty) -> Empty:
        self._shut_down()
        return Empty()

    async def _discover(self, _: Empty) -> Any:
        from execserver.schema import openrpc

        return openrpc()

    async def _push(self, method: str, params: Message) -> None:
        await self._outbox.room()
        self._outbox.post(encode_line(Notification(method, params)))

    def _load_files(self) -> dict[str, Method]:
        from execserver.server.files import Files

        files = Files()
        self._closing.append(files.aclose)
        return self._without(files.methods)

    def _load_http(self) -> dict[str, Method]:
        from execserver.server.http import Http

        http = Http(self._push, self._requests)
        self._closing.append(http.aclose)
        return self._without(http.methods)

    def _without(self, methods: dict[str, Method]) -> dict[str, Method]:
        for name in methods:
            self._lazy.pop(name, None)
        return methods
