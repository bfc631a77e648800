"""What a line is: a request, a notification, a stray response, or malformed in one of the ways of the wire."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from execserver.wire.envelope import (
    Call,
    ErrorObject,
    Failure,
    Incoming,
    Malformed,
    Notification,
    StrayResponse,
    Success,
    decode_request,
    encode_line,
)
from execserver.wire.errors import INVALID_REQUEST, PARSE_ERROR

# No lone surrogates: they have tests of their own.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
IDS = st.one_of(st.integers(), TEXTS)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
# Objects with the members of an envelope, right and wrong in every combination.
ENVELOPES = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.sampled_from(["2.0", "1.0", 2, None]),
        "id": IDS | JSON,
        "method": st.just("ping") | JSON,
        "params": JSON,
        "result": JSON,
        "error": JSON,
        "other": JSON,
    },
)
NESTED = b"[" * 100_000
LONE_SURROGATE = b'"\\ud800"'


def malformed(line: bytes) -> Malformed:
    with pytest.raises(Malformed) as caught:
        decode_request(line)
    return caught.value


@given(IDS, TEXTS, JSON)
def test_a_request_keeps_its_id_its_method_and_its_undecoded_params(
    request_id: int | str, method: str, params: Any
) -> None:
    text = json.dumps({"id": request_id, "method": method, "params": params}, ensure_ascii=False)
    incoming = decode_request(text.encode())
    assert (incoming.id, type(incoming.id), incoming.method) == (request_id, type(request_id), method)
    assert incoming.params is not UNSET
    assert json.loads(bytes(incoming.params)) == params


def test_without_an_id_it_is_a_notification() -> None:
    assert decode_request(b'{"method":"initialized"}') == Incoming("initialized")


def test_unknown_members_are_tolerated() -> None:
    assert decode_request(b'{"trace":{"a":[1]},"id":1,"method":"m"}') == Incoming("m", 1)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"nul",
        b"5x",
        b"[1,",
        b"[1]]",
        b'{"id":1,"method":"m"} x',
        b'{"id":1,"method":"m"}\0',
        b'{"id":1,"method":"\0"}',
        b'{"id":1,"method":"m","params":{"a":\0}}',
        b'{"id":1,"method":"\xff"}',
        b'{"id":1,"method":"m","params":"\xc3"}',
        b'{"id":1,"method":5,"other":"\xc3"}',
        b'\xef\xbb\xbf{"id":1,"method":"m"}',
        b'{"id":1,"method":"m","params":NaN}',
        b"{'id':1}",
        # What is no request from its beginning is not judged before all of it is known to be JSON.
        b'{"method":5,x',
        b'{"id":true,"method":"m"',
        b'{"id":1,"jsonrpc":"1.0","method":"m"',
        # In each of the ways in which a decoder comes across it.
        NESTED,
        b'{"id":1,"method":"m","params":' + NESTED,
        b'{"id":1,"method":"m","other":' + NESTED,
        b'{"id":1,"method":5,"other":' + NESTED,
        b'{"id":' + LONE_SURROGATE + b',"method":"m"}',
        b'{"id":1,"method":' + LONE_SURROGATE + b"}",
        b'{"id":1,"method":"m","params":' + LONE_SURROGATE + b"}",
        b'{"id":1,"method":5,"other":' + LONE_SURROGATE + b"}",
    ],
    ids=lambda line: repr(line[:50]),
)
def test_what_is_not_json_is_a_parse_error_with_id_null(line: bytes) -> None:
    error = malformed(line)
    assert (error.fault.code, error.fault.kind, error.id) == (PARSE_ERROR, "parseError", None)


@pytest.mark.parametrize("line", [b"[]", b' [{"id":1,"method":"m"}]', b'\t[{"id":1,"method":"m"},2]', b"[[]]"])
def test_a_batch_is_refused_once_with_id_null(line: bytes) -> None:
    error = malformed(line)
    assert (error.fault.code, error.id) == (INVALID_REQUEST, None)
    assert "batches are not supported" in error.fault.message


@pytest.mark.parametrize("line", [b"5", b"null", b"true", b'"text"', b"1.5", b"{}"])
def test_json_that_is_no_request_is_invalid_with_id_null(line: bytes) -> None:
    error = malformed(line)
    assert (error.fault.code, error.fault.kind, error.id) == (INVALID_REQUEST, "invalidRequest", None)


@pytest.mark.parametrize("bad", ["1.5", "1.0", "-0.0", "1e2", "true", "null", "{}", "[]", "1" * 5000, "1e999"])
def test_an_id_that_is_neither_integer_nor_string_is_invalid_with_id_null(bad: str) -> None:
    error = malformed(f'{{"id":{bad},"method":"m"}}'.encode())
    assert (error.fault.code, error.id) == (INVALID_REQUEST, None)
    assert error.fault.message.endswith("- at `$.id`")


@pytest.mark.parametrize("rest", ['"method":5', '"method":null', '"params":{}', '"method":"m","jsonrpc":"1.0"'])
@pytest.mark.parametrize(
    ("sent", "salvaged"), [("7", 7), ('"a"', "a"), ("0", 0), ("1.5", None), ("null", None), ("{}", None)]
)
def test_the_id_of_an_invalid_request_is_salvaged_where_it_is_one(rest: str, sent: str, salvaged: Any) -> None:
    error = malformed(f'{{"id":{sent},{rest}}}'.encode())
    assert (error.fault.code, error.id) == (INVALID_REQUEST, salvaged)


@pytest.mark.parametrize("version", ['"1.0"', '"2"', '""', "2.0", "2", "null"])
def test_any_other_version_is_invalid_with_its_id(version: str) -> None:
    error = malformed(f'{{"jsonrpc":{version},"id":3,"method":"m"}}'.encode())
    assert (error.fault.code, error.id) == (INVALID_REQUEST, 3)
    assert error.fault.message.endswith("- at `$.jsonrpc`")


def test_another_version_without_an_id_is_invalid_with_id_null() -> None:
    assert malformed(b'{"jsonrpc":"1.0","method":"m"}').id is None


@pytest.mark.parametrize("line", [b'{"id":1,"result":{}}', b'{"error":{"code":1},"id":null}', b'{"result":null}'])
def test_a_response_is_told_from_a_request(line: bytes) -> None:
    with pytest.raises(StrayResponse):
        decode_request(line)


def test_a_request_with_a_result_too_is_a_request() -> None:
    assert decode_request(b'{"id":1,"method":"m","result":1}') == Incoming("m", 1)
    assert malformed(b'{"id":1,"method":5,"result":1}').id == 1


def expected(envelope: dict[str, Any]) -> tuple[str, Any]:
    """Judge a decoded envelope by the letter of the wire."""
    request_id = envelope.get("id")
    salvaged = request_id if type(request_id) in (int, str) else None
    if "method" not in envelope and ("result" in envelope or "error" in envelope):
        return "stray", None
    well_formed = type(envelope.get("method")) is str and envelope.get("jsonrpc", "2.0") == "2.0"
    if not well_formed or ("id" in envelope and salvaged is None):
        return "malformed", salvaged
    return ("request", request_id) if "id" in envelope else ("notification", None)


def judged(line: bytes) -> tuple[str, Any]:
    try:
        incoming = decode_request(line)
    except StrayResponse:
        return "stray", None
    except Malformed as error:
        return ("malformed" if error.fault.code == INVALID_REQUEST else "not JSON"), error.id
    return ("notification", None) if incoming.id is UNSET else ("request", incoming.id)


@given(ENVELOPES)
def test_every_object_is_judged_by_the_letter_of_the_wire(envelope: dict[str, Any]) -> None:
    assert judged(json.dumps(envelope).encode()) == expected(envelope)


@given(ENVELOPES, st.data())
def test_an_object_cut_short_is_never_json(envelope: dict[str, Any], data: st.DataObject) -> None:
    line = json.dumps(envelope).encode()
    assert judged(line[: data.draw(st.integers(1, len(line) - 1))]) == ("not JSON", None)


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,\\u0d8 1e.-tfn', max_size=30).map(str.encode))
def test_no_bytes_raise_anything_else(line: bytes) -> None:
    judged(line)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (Success(1, {"a": [1]}), b'{"jsonrpc":"2.0","id":1,"result":{"a":[1]}}\n'),
        (Success("x", None), b'{"jsonrpc":"2.0","id":"x","result":null}\n'),
        (Failure(None, ErrorObject(-1, "m")), b'{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"m"}}\n'),
        (
            Failure(2, ErrorObject(-1, "m", {"kind": "k"})),
            b'{"jsonrpc":"2.0","id":2,"error":{"code":-1,"message":"m","data":{"kind":"k"}}}\n',
        ),
        (Call(3, "m", {}), b'{"jsonrpc":"2.0","id":3,"method":"m","params":{}}\n'),
        (Notification("n", {}), b'{"jsonrpc":"2.0","method":"n","params":{}}\n'),
    ],
)
def test_what_we_send_names_its_version_first(message: Any, line: bytes) -> None:
    assert encode_line(message) == line


@given(JSON)
def test_what_we_send_is_one_line_of_json(value: Any) -> None:
    line = encode_line(Success(1, value))
    assert line.index(b"\n") == len(line) - 1
    assert msgspec.json.decode(line)["result"] == value


def test_a_lone_surrogate_cannot_be_sent() -> None:
    with pytest.raises(UnicodeEncodeError):
        encode_line(Success(1, "\ud800"))


def test_what_is_wrong_with_a_line_of_many_brackets_is_found_where_it_stands() -> None:
    line = b'{"id":1,"method":"ping","params":{"a":' + b"[" * 150 + b"]" * 150 + b"},x}"
    assert f"(byte {line.index(b'x')})" in malformed(line).fault.message
    assert "truncated" in malformed(line[:-3]).fault.message
