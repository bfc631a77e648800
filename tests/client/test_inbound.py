"""What a line of a server is: long outputs, which are cut out unread, are what reading them would have given."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execserver.client.inbound import LongOutputPush, NotAMessage, OutputPush, classify
from execserver.wire.base64 import decode_text

DATA = bytes(range(256)) * 16
TEXT = base64.b64encode(DATA).decode()
PARAMS = {"processId": "p", "seq": 7, "stream": "stderr", "chunk": TEXT}


def line_of(params: Any, **members: Any) -> bytes:
    return json.dumps({"method": "process/output", **members, "params": params}, separators=(",", ":")).encode()


def meaning(line: bytes) -> tuple[str, int, str, bytes] | str:
    """The output that a line is, decoded; else what it is."""
    try:
        push = classify(line)
        if not isinstance(push, OutputPush | LongOutputPush):
            return type(push).__name__
        params = push.params
        return params.process_id, params.seq, params.stream, decode_text(params.chunk)
    except (NotAMessage, ValueError):
        return "nonsense"


@pytest.mark.parametrize("name", ["p", 'a"chunk":"b', "ä\n", "😀"])
@pytest.mark.parametrize("members", [{}, {"jsonrpc": "2.0"}])
def test_a_long_output_as_servers_write_it_is_cut_out(name: str, members: dict[str, str]) -> None:
    line = line_of({**PARAMS, "processId": name}, **members)
    assert isinstance(classify(line), LongOutputPush)
    assert meaning(line) == (name, 7, "stderr", DATA)


@pytest.mark.parametrize(
    "line",
    [
        line_of({**PARAMS, "more": 1}),
        line_of({"chunk": TEXT, "processId": "p", "seq": 7, "stream": "stderr"}),
        line_of({**PARAMS, "chunk": "@"}).replace(b"@", TEXT.replace("/", "\\/").encode()),
        line_of(PARAMS).replace(b'"chunk":', b'"chunk": '),
        line_of({"x": {}, **PARAMS}),
        json.dumps({"params": PARAMS, "method": "process/output"}).encode(),
        line_of({"long": "x" * 600, **PARAMS}),
    ],
    ids=["another member", "another order", "escapes", "blanks", "a brace", "the method last", "a long head"],
)
def test_one_that_is_written_otherwise_is_read(line: bytes) -> None:
    assert isinstance(classify(line), OutputPush)
    assert meaning(line) == ("p", 7, "stderr", DATA)


@pytest.mark.parametrize(
    "line",
    [
        line_of({**PARAMS, "seq": "7"}),
        line_of({**PARAMS, "stream": "stdin"}),
        line_of({**PARAMS, "chunk": TEXT + "!"}),
        line_of({**PARAMS, "chunk": TEXT[:-1]}),
        line_of({"processId": "p", "chunk": TEXT}),
        line_of(PARAMS)[:-1],
        line_of(PARAMS) + b"}",
        line_of(PARAMS).replace(b"AAEC", b"AA\nC"),
        line_of(PARAMS).replace(b"AAEC", b"AA\xffC"),
    ],
)
def test_one_that_is_wrong_is_nonsense(line: bytes) -> None:
    assert meaning(line) == "nonsense"


def test_a_chunk_of_something_else_is_not_taken_for_the_outputs() -> None:
    elsewhere = b'{"method":"process/output","params":{"processId":"p","seq":7,"stream":"stderr","ch\\u0075nk":""'
    assert meaning(elsewhere + b',"x":{"chunk":"%b"}}}' % TEXT.encode()) == ("p", 7, "stderr", b"")
    assert meaning(elsewhere + b'},"x":{"chunk":"%b"}}' % TEXT.encode()) == ("p", 7, "stderr", b"")
    assert meaning(line_of(PARAMS).replace(b"process/output", b"process/novelty")) == "Other"
    assert meaning(b'{"id":1,"result":{"a":1,"chunk":"%b"}}' % TEXT.encode()) == "Other"
    assert meaning(line_of({**PARAMS, "exitCode": 1}).replace(b"process/output", b"process/exited")) == "ExitedPush"


@given(st.permutations(list(PARAMS)), st.sampled_from([TEXT, TEXT + "=", "", None, [TEXT]]), st.integers(0, 4))
def test_where_the_chunk_stands_changes_nothing(order: list[str], chunk: Any, missing: int) -> None:
    params = {name: PARAMS[name] for name in order[: len(order) - missing] if name != "chunk"} | {
        "pad": "x" * 300,
    }
    first, last = line_of({"chunk": chunk, **params, "z": TEXT}), line_of({**params, "chunk": chunk})
    assert meaning(first) == meaning(last)
