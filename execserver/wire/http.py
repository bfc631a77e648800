"""``http/request`` and its streamed body. No I/O."""

from typing import Literal

from execserver.wire.base import Message, Milliseconds


class Header(Message, frozen=True):
    """One header field; order and repetition are kept."""

    name: str
    value: str


class RequestParams(Message, frozen=True):
    """``stream_response`` sends the body as `BodyDelta` notifications after the answer."""

    method: str
    url: str
    request_id: str
    headers: tuple[Header, ...] = ()
    body_base64: bytes | None = None
    timeout_ms: Milliseconds | None = None
    redirect_policy: Literal["follow", "stop"] = "follow"
    stream_response: bool = False


class RequestResult(Message, frozen=True):
    """``body_base64`` is empty when the body is streamed."""

    status: int
    headers: list[Header]
    body_base64: bytes


class BodyDelta(Message, frozen=True):
    """``http/request/bodyDelta``: ``seq`` counts from 1; the last one has ``done`` or ``error``."""

    request_id: str
    seq: int
    delta_base64: bytes
    done: bool = False
    error: str | None = None
