"""Long writes in one pass: what is taken is what the ordinary way makes of it, and the rest is left to that."""

import base64
import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from execserver.server import bulk
from execserver.server.bulk import LONG_BYTES
from execserver.wire.envelope import Id, Malformed, StrayResponse, decode_request
from execserver.wire.process import WriteParams
from tests.support.plain import import_without_fast

DATA = bytes(range(256)) * 16
TEXT = base64.b64encode(DATA).decode()

Decode = Callable[[bytes], tuple[Id, WriteParams] | None]
PLAIN = import_without_fast(bulk)
with_both = pytest.mark.parametrize("decode", [bulk.decode_long_write, PLAIN.decode_long_write], ids=["fast", "plain"])


def line_of(**members: Any) -> bytes:
    params = {"processId": "p", "chunk": TEXT}
    return json.dumps({"id": 1, "method": "process/write", "params": params, **members}).encode()


def ordinarily(line: bytes) -> tuple[object, WriteParams] | None:
    """What `rpc` and `dispatch` make of a line, None where that is an error or no write."""
    try:
        request = decode_request(line)
        if request.method != "process/write" or isinstance(request.id, msgspec.UnsetType):
            return None
        assert isinstance(request.params, msgspec.Raw)
        return request.id, msgspec.json.decode(request.params, type=WriteParams)
    except (Malformed, StrayResponse, msgspec.DecodeError, AssertionError):
        return None


@with_both
@pytest.mark.parametrize("request_id", [1, -5, 2**70, "one", ""])
@pytest.mark.parametrize("version", [{}, {"jsonrpc": "2.0"}])
@pytest.mark.parametrize("more", [{}, {"writeId": "w", "closeStdin": True}, {"writeId": None}, {"what": TEXT}])
def test_a_flawless_long_write_is_taken(
    decode: Decode, request_id: int | str, version: dict[str, str], more: dict[str, Any]
) -> None:
    line = line_of(id=request_id, params={"processId": "p", "chunk": TEXT, **more}, other="a", **version)
    taken = decode(line)
    assert taken is not None
    assert taken == ordinarily(line)
    assert taken[1].chunk == DATA


@pytest.mark.parametrize(("one", "asked"), [(bulk, 0), (PLAIN, 1)], ids=["fast", "plain"])
@pytest.mark.parametrize("answer", [None, b"of OpenSSL"])
def test_openssl_is_asked_without_the_extra_and_msgspec_where_it_knows_nothing(
    one: ModuleType, asked: int, answer: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices: list[bytes] = []

    def decode_slice(line: bytes, start: int, end: int) -> bytes | None:
        slices.append(line[start:end])
        return answer

    monkeypatch.setattr(one, "decode_slice", decode_slice)
    taken = one.decode_long_write(line_of())
    assert slices == [TEXT.encode()] * asked
    assert taken == (1, WriteParams("p", answer if answer and asked else DATA))


ODD = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.just(TEXT), st.just([TEXT]))


@with_both
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "id": ODD,
            "method": st.sampled_from(["process/write", "process/read", TEXT, None]),
            "jsonrpc": st.sampled_from(["2.0", "1.0", None]),
            "result": ODD,
            "params": st.one_of(
                ODD,
                st.fixed_dictionaries(
                    {},
                    optional={
                        "processId": st.sampled_from(["p", 1, TEXT]),
                        "chunk": st.sampled_from([TEXT, TEXT + "=", TEXT[:-2], "é" + TEXT, "", None, 5]),
                        "writeId": ODD,
                        "closeStdin": ODD,
                    },
                ),
            ),
        },
    ),
    st.sampled_from([json.dumps, lambda value: json.dumps(value, ensure_ascii=False)]),
)
def test_nothing_is_taken_that_the_ordinary_way_would_take_otherwise(
    decode: Decode, members: dict[str, Any], dumps: Any
) -> None:
    line = dumps({**members, "padding": "x" * LONG_BYTES}).encode()
    taken = decode(line)
    assert taken is None or taken == ordinarily(line)


@with_both
@pytest.mark.parametrize(
    "line",
    [
        line_of(params={"processId": "p", "chunk": "YQ=="}),
        line_of(id=1.0),
        line_of(jsonrpc="1.0"),
        line_of(params={"processId": "p", "chunk": TEXT + "!"}),
        line_of()[:-1],
        line_of(deep=0).replace(b'"deep": 0', b'"deep": ' + b"[" * 100_000 + b"]" * 100_000),
        line_of().replace(b'"p"', b'"\xff"'),
        line_of(other="a").replace(b'"a"', b'"\xff"'),
        json.dumps([json.loads(line_of())]).encode(),
        line_of(other={}),
        line_of(other=[]),
    ],
    ids=[
        "short",
        "a fraction",
        "a version",
        "no base64",
        "no JSON",
        "deep",
        "no UTF-8",
        "no UTF-8 in what nobody reads",
        "a batch",
        "an object",
        "an array",
    ],
)
def test_what_is_short_or_flawed_is_left_to_the_ordinary_way(decode: Decode, line: bytes) -> None:
    assert decode(line) is None


CHUNK = f'"chunk":"{TEXT}"'


@with_both
@pytest.mark.parametrize(
    "line",
    [
        '{"id":1,"params":{"processId":"p",' + CHUNK + "}}",
        '{"id":1,"params":{"processId":"p",' + CHUNK + '},"result":1}',
        '{"id":1,"params":{"processId":"p",' + CHUNK + '},"error":1}',
        '{"id":1,"method":"process/read","params":{"processId":"p",' + CHUNK + "}}",
        '{"id":1,"method":"process/write","params":{},' + CHUNK + "}",
        '{"id":1,"method":"process/write","deep":'
        + "[" * 100
        + "]" * 100
        + ',"params":{"processId":"p",'
        + CHUNK
        + "}}",
        '{"id":1,"method":"process/write",' + CHUNK + ',"params":{"processId":"p","chunk":""}}',
        '{"id":1,"method":"process/write","x":{' + CHUNK + '},"params":{"processId":"p","chunk":""}}',
        '{"id":1,"method":"process/write","params":{"processId":"p",' + CHUNK + ',"chunk":""}}',
        '{"id":1,"method":"process/write","params":{"processId":"p","chunk":"",' + CHUNK + "}}",
        '{"id":1,"method":"process/write","params":{"processId":"p",' + CHUNK + ',"\\u0063hunk":""}}',
        '{"id":1,"method":"process/write","params":{"processId":"p\\",' + CHUNK + "}}",
        '{"id":1,"method":"process/write","params":{"processId":"p","x\\' + CHUNK + ',"chunk":""}}',
        '{"id":1,"method":"process/write","params":{"processId":"p","chunk":"' + TEXT.replace("/", "\\/") + '"}}',
        '{"id":1,"method":"process/write","params":{"processId":"p","chunk":"' + TEXT,
    ],
    ids=[
        "no method",
        "an answer",
        "an error",
        "another method",
        "outside of empty params",
        "deep before it",
        "outside",
        "elsewhere",
        "twice",
        "the second",
        "twice, escaped",
        "escaped",
        "part of a name",
        "slashes escaped",
        "unfinished",
    ],
)
def test_a_chunk_that_is_not_plainly_that_of_the_params_is_not_cut(decode: Decode, line: str) -> None:
    assert decode(line.encode()) is None


@with_both
@pytest.mark.parametrize("blanks", ["", " ", "\t "])
def test_where_blanks_are_allowed_they_change_nothing(decode: Decode, blanks: str) -> None:
    line = f'{{"id":1,"method":"process/write","params":{{"processId":"p","chunk"{blanks}:{blanks}"{TEXT}"}}}}'.encode()
    assert decode(line) == ordinarily(line) == (1, WriteParams("p", DATA))


@with_both
def test_a_chunk_that_begins_far_behind_is_left_to_the_ordinary_way(decode: Decode) -> None:
    name = "p" * 600
    assert decode(line_of(params={"processId": name, "chunk": TEXT})) is not None
    assert decode(line_of(params={"processId": 2 * name, "chunk": TEXT})) is None
