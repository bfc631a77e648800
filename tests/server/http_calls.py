"""Calls of ``http/request`` as they come from the wire, and what is pushed, without a wire."""

import base64
import json
from typing import Any

import msgspec
import pytest
import trio

from execserver.server.eager import finish
from execserver.server.http import Http
from execserver.wire.base import Message
from execserver.wire.errors import Fault
from execserver.wire.http import BodyDelta


class Peer:
    """Calls, and what is pushed: ``None`` in ``deltas`` marks the answer."""

    def __init__(self, tasks: trio.Nursery) -> None:
        self.http = Http(self._push, tasks)
        self.pushed, self.deltas = trio.open_memory_channel[tuple[str, Message]](1000)
        self.before_push = trio.Event()
        self.before_push.set()

    async def _push(self, method: str, params: Message) -> None:
        await self.before_push.wait()
        try:
            self.pushed.send_nowait((method, params))  # no checkpoint once it is on its way, as with the outbox
        except trio.WouldBlock:
            await self.pushed.send((method, params))

    async def __call__(self, url: str, **params: Any) -> Any:
        asked = {"method": "GET", "requestId": "r", "url": url} | params
        method = self.http.methods["http/request"]
        with trio.fail_after(10):
            result = await finish(method.handle(msgspec.convert(asked, method.params)))
        return msgspec.json.decode(msgspec.json.encode(result))

    async def fault(self, url: str, **params: Any) -> Fault:
        with pytest.raises(Fault) as caught:
            await self(url, **params)
        return caught.value

    async def echo(self, url: str, **params: Any) -> Any:
        """What the server saw of the request."""
        return json.loads(base64.b64decode((await self(url, **params))["bodyBase64"]))

    async def delta(self) -> BodyDelta:
        with trio.fail_after(10):
            method, delta = await self.deltas.receive()
        assert method == "http/request/bodyDelta"
        assert isinstance(delta, BodyDelta)
        return delta

    async def body(self) -> tuple[list[bytes], str | None]:
        """Receive a streamed body to its end; its pieces, and the error at the end."""
        pieces: list[bytes] = []
        while True:
            delta = await self.delta()
            assert (delta.request_id, delta.seq) == ("r", len(pieces) + 1)
            if delta.done:
                assert delta.delta_base64 == b""
                return pieces, delta.error
            assert delta.error is None
            pieces.append(delta.delta_base64)


def header(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]
