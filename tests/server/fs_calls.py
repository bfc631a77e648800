"""Calls of ``fs/*`` as they come from the wire, without a wire."""

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest

from execserver.server.eager import finish
from execserver.server.files import Files
from execserver.server.paths import to_uri
from execserver.wire.errors import Fault


class FileCalls:
    def __init__(self, files: Files) -> None:
        self._files = files

    async def __call__(self, name: str, /, **params: Any) -> Any:
        """Answer the result as JSON has it. Params are camelCase; paths become URIs."""
        method = self._files.methods[f"fs/{name}"]
        asked = msgspec.convert({key: _as_json(value) for key, value in params.items()}, method.params)
        return msgspec.json.decode(msgspec.json.encode(await finish(method.handle(asked))))

    async def fault(self, name: str, /, **params: Any) -> Fault:
        """Answer the error of a call that must fail."""
        with pytest.raises(Fault) as caught:
            await self(name, **params)
        caught.value.message.encode()  # it goes on the wire
        return caught.value


def _as_json(value: Any) -> Any:
    return to_uri(str(value)) if isinstance(value, Path) else value


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
