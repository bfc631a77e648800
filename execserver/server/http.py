"""``http/request``: requests made from where the server runs, buffered or streamed.

The client is imported at the first request, in a thread: it takes longer than all the rest of the server.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

import trio

from execserver.server.eager import step_aside
from execserver.server.method import Method
from execserver.wire.base import Message, to_seconds
from execserver.wire.errors import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    SERVER_ERROR,
    Fault,
    invalid_params,
)
from execserver.wire.http import BodyDelta, RequestParams, RequestResult

if TYPE_CHECKING:
    from execserver.server.http_client import HttpClient, Response

# Of a streamed body in one notification: a third more on the wire, far below the 1 MiB that a line may have.
DELTA_BYTES = 64 << 10
# Of a buffered body: the answer is one line, held whole.
LARGEST_BODY = 512 << 20
# Bodies streamed at the same time. A stream outlives its request, so the bound on those does not hold it.
STREAMS = 256
# Of the id of a stream: it is in every notification.
MAX_ID_LENGTH = 4096
Push = Callable[[str, Message], Awaitable[None]]


class Http:
    """The HTTP method of one session, its client and its streams."""

    def __init__(self, push: Push, tasks: trio.Nursery) -> None:
        """``push`` sends a notification, and waits while the wire is full; ``tasks`` ends with the session."""
        self._push = push
        self._tasks = tasks
        self._streams: set[str] = set()
        self._client: HttpClient | None = None
        self._opening = trio.Lock()
        self.methods: dict[str, Method] = {"http/request": Method(RequestParams, self.request)}

    async def request(self, params: RequestParams) -> RequestResult:
        """Make a request; answer with its body, or with its head and stream the body after the answer.

        ``timeout_ms`` is for all of it, a streamed body too.
        """
        if not params.stream_response:
            await step_aside()
            return await self._buffered(params)
        name = params.request_id
        if len(name) > MAX_ID_LENGTH:
            raise invalid_params("$.requestId", f"Expected at most {MAX_ID_LENGTH} characters, got {len(name)}")
        if name in self._streams:
            problem = f"http/request streamResponse requestId `{name}` is already active"
            raise Fault(INVALID_PARAMS, problem, "invalidArgument")
        if len(self._streams) >= STREAMS:
            raise Fault(SERVER_ERROR, f"at most {STREAMS} bodies are streamed at a time", "resourceExhausted")
        self._streams.add(name)
        try:
            await step_aside()
            return await self._streamed(params)
        except BaseException:
            self._streams.discard(name)
            raise

    async def aclose(self) -> None:
        """Close every connection."""
        if self._client is not None:
            await self._client.aclose()

    async def _buffered(self, params: RequestParams) -> RequestResult:
        client = await self._opened()
        with trio.CancelScope(deadline=_deadline(params)):
            response = await client.send(params)
            try:
                return _head(response, await _whole_body(response))
            finally:
                await response.aclose()
        raise _timed_out(params)

    async def _streamed(self, params: RequestParams) -> RequestResult:
        client = await self._opened()
        deadline = _deadline(params)
        with trio.CancelScope(deadline=deadline):
            response = await client.send(params)
            # It begins at the next turn of the scheduler, when the answer is on its way.
            self._tasks.start_soon(self._stream, params.request_id, response, deadline)
            return _head(response, b"")
        raise _timed_out(params)

    async def _stream(self, name: str, response: Response, deadline: float) -> None:
        try:
            seq = 1
            error: str | None = "timed out"
            with trio.CancelScope(deadline=deadline):
                try:
                    async with aclosing(response.blocks()) as blocks:
                        async for block in blocks:
                            for start in range(0, len(block), DELTA_BYTES):
                                await self._push_delta(BodyDelta(name, seq, block[start : start + DELTA_BYTES]))
                                seq += 1
                    error = None
                except Fault as fault:
                    error = fault.message
            await self._push_delta(BodyDelta(name, seq, b"", done=True, error=error))
        finally:
            self._streams.discard(name)
            await response.aclose()

    async def _push_delta(self, delta: BodyDelta) -> None:
        await self._push("http/request/bodyDelta", delta)

    async def _opened(self) -> HttpClient:
        async with self._opening:
            if self._client is None:
                self._client = await trio.to_thread.run_sync(_open_client)
            return self._client


def _open_client() -> HttpClient:
    try:
        from execserver.server.http_client import HttpClient
    except ModuleNotFoundError as error:
        problem = f"http/request needs the extra `http`: pip install execserver[http] ({error})"
        raise Fault(METHOD_NOT_FOUND, problem, "missingExtra") from error
    try:
        return HttpClient()
    except (ImportError, ValueError, OSError) as error:
        # A proxy that httpx cannot use, a file of certificates that is none: the environment's fault.
        raise Fault(INTERNAL_ERROR, f"http/request failed: {error}", "httpError") from error


async def _whole_body(response: Response) -> bytes:
    whole: list[bytes] = []
    size = 0
    async with aclosing(response.blocks()) as blocks:
        async for block in blocks:
            whole.append(block)
            size += len(block)
            if size > LARGEST_BODY:
                raise Fault(INTERNAL_ERROR, f"body is too large: limit is {LARGEST_BODY} bytes", "tooLarge")
    return b"".join(whole)


def _head(response: Response, body: bytes) -> RequestResult:
    return RequestResult(response.status, response.headers, body)


def _deadline(params: RequestParams) -> float:
    return math.inf if params.timeout_ms is None else trio.current_time() + to_seconds(params.timeout_ms)


def _timed_out(params: RequestParams) -> Fault:
    return Fault(INTERNAL_ERROR, f"http/request failed: timed out after {params.timeout_ms} ms", "httpTimeout")
