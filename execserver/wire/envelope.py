"""The JSON-RPC 2.0 envelope, for both sides. No I/O, and no knowledge of any method.

The rules (wire, section 1), in the order in which a line is judged:

1. not JSON, bad UTF-8, a NUL, nesting too deep: `PARSE_ERROR`, id null;
2. an array (a batch): `INVALID_REQUEST`, id null, one answer for the whole of it;
3. an object with ``result`` or ``error`` and no ``method``: a response, which the receiver matches or ignores;
4. an object that is no valid request: `INVALID_REQUEST`, with the id where one can be salvaged;
5. no ``id``: a notification, never answered.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from execserver.wire.errors import INVALID_REQUEST, PARSE_ERROR, Fault

Id = int | str


class Incoming(Struct, frozen=True, gc=False):
    """A request or a notification. A float is decoded only to be refused: 1.0 is not the id 1."""

    method: str
    id: int | float | str | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    jsonrpc: str = "2.0"  # the Codex client never sends it


class Malformed(Exception):
    """A line that is no request and no notification. ``id`` is what the answer's id must be."""

    def __init__(self, fault: Fault, request_id: Id | None = None) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.id = request_id


class StrayResponse(Exception):
    """A line that answers a request nobody made. It is ignored and logged, never answered."""


class ErrorObject(Struct, frozen=True, gc=False, omit_defaults=True):
    """The ``error`` member."""

    code: int
    message: str
    data: Any = UNSET


class Success(Struct, frozen=True, gc=False, tag_field="jsonrpc", tag="2.0"):
    """An answer with a result."""

    id: Id
    result: Any


class Failure(Struct, frozen=True, gc=False, tag_field="jsonrpc", tag="2.0"):
    """An answer with an error; ``id`` is null where none could be read."""

    id: Id | None
    error: ErrorObject


class Call(Struct, frozen=True, gc=False, tag_field="jsonrpc", tag="2.0"):
    """A request as we send it."""

    id: Id
    method: str
    params: Any


class Notification(Struct, frozen=True, gc=False, tag_field="jsonrpc", tag="2.0"):
    """A notification as we send it."""

    method: str
    params: Any


_decode = msgspec.json.Decoder(Incoming).decode
_check_json = msgspec.json.Decoder(Raw).decode
_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
# How deep a line may be nested depends on how deep the stack is where it is decoded. What passes here is decoded again
# by handlers, and encoded in their answers, further down the stack: so it must pass so many levels deeper.
_SPARE = 60
_SHALLOW = 100  # opening brackets: with no more of them a line is never nested too deeply
_encode_lines = msgspec.json.Encoder().encode_lines


def decode_request(line: bytes) -> Incoming:
    """Decode one line as a request or notification; `Malformed` or `StrayResponse` says why it is neither."""
    try:
        if not line.isascii():
            line.decode()  # `params` stays undecoded here, so nothing else would look at its bytes
        if line.count(b"[") + line.count(b"{") > _SHALLOW:
            _check_depth(line)
        try:
            incoming = _decode(line)
        except msgspec.ValidationError as error:
            _check_json(line)  # the decoder stops at the first wrong type, whatever follows
            raise _judge(line, str(error)) from None
        if type(incoming.id) is float:
            raise _invalid("Expected `int | str`, got `float` - at `$.id`")
        if incoming.jsonrpc != "2.0":
            raise _invalid(f'Expected "2.0", got {incoming.jsonrpc!r} - at `$.jsonrpc`', _salvage_id(line))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(Fault(PARSE_ERROR, f"not JSON: {error}", "parseError")) from None
    except RecursionError:
        raise Malformed(Fault(PARSE_ERROR, "not JSON: nested too deeply", "parseError")) from None
    return incoming


def _check_depth(line: bytes) -> None:
    """Raise `RecursionError` where there are not levels to spare. What else is wrong with a line others find."""
    try:
        _check_json(_SPARE * b"[" + line + _SPARE * b"]")
    except msgspec.DecodeError:
        return


def _judge(line: bytes, problem: str) -> Malformed | StrayResponse:
    """Say what valid JSON that is no request is."""
    if line.lstrip()[:1] == b"[":
        return _invalid("batches are not supported")
    try:
        members = _decode_members(line)
    except msgspec.ValidationError:
        return _invalid(problem)
    if "method" not in members and ("result" in members or "error" in members):
        return StrayResponse("a response to no request")
    return _invalid(problem, _salvage_id(line))


def _invalid(problem: str, request_id: Id | None = None) -> Malformed:
    return Malformed(Fault(INVALID_REQUEST, f"invalid request: {problem}", "invalidRequest"), request_id)


def _salvage_id(line: bytes) -> Id | None:
    raw = _decode_members(line).get("id")
    if raw is None:
        return None
    try:
        found = msgspec.json.decode(raw, type=int | float | str)
    except msgspec.ValidationError:
        return None
    return None if isinstance(found, float) else found


def encode_line(message: Any) -> bytes:
    """One protocol line, ended by LF. Raises `UnicodeEncodeError` for a lone surrogate in any string."""
    return _encode_lines([message])  # no slower than `encode`, and adding the LF to that would copy the line
