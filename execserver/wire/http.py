"""``http/request`` and its streamed body. No I/O."""

from typing import Literal

from execserver.wire.base import Message, Milliseconds


class Header(Message, frozen=True):
    """One header field; order and repetition are kept."""

    name: str
    value: str


class RequestParams(Message, frozen=True):
    """``stream_response`` sends the body as `BodyDelta` notifications after the answer.

    ``timeout_ms`` is for the whole of the request, a streamed body too. ``request_id`` is not that of another body
    that is being streamed.
    """

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
    """``http/request/bodyDelta``: ``seq`` counts from 1.

    The last one is empty and ``done``; ``error`` says why, where the body is not whole.
    """

    request_id: str
    seq: int
    delta_base64: bytes
    done: bool = False
    error: str | None = None
