"""One line in, at most one answer out: what is answered, in which order it is judged, and what is let in."""

import base64
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from execserver.lines import OVERSIZED, Oversized
from execserver.server.bulk import LONG_BYTES
from execserver.server.eager import StandingBy, stand_by, step_aside
from execserver.server.method import Method
from execserver.server.rpc import NEVER_BUSY, Rpc, Unfinished
from execserver.wire.base import Empty, Message
from execserver.wire.errors import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    SERVER_ERROR,
    Fault,
)
from execserver.wire.process import WriteParams, WriteResult
from execserver.wire.session import InitializeParams, InitializeResult

MAX_IN_FLIGHT = 3

INITIALIZE = b'{"id":0,"method":"initialize","params":{"clientName":"test"}}'
INITIALIZED = b'{"method":"initialized"}'
PING = b'{"id":"after","method":"ping"}'


class Said(Message, frozen=True):
    text: str = ""


class Served:
    """An `Rpc` over methods that tell what was begun and wait when they are told to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go_on = trio.Event()
        self.standing: list[Callable[[], None]] = []
        self.refusal: Fault | None = None
        self.rpc = Rpc(
            {
                "ping": Method(Empty, self.ping),
                "say": Method(Said, self.say),
                "wait": Method(Said, self.wait),
                "stand": Method(Said, self.stand),
                "crash": Method(Empty, self.crash),
                "fs/look": Method(Empty, self.ping),
                "process/terminate": Method(Said, self.wait),
                "process/write": Method(WriteParams, self.write),
                "process/signal": Method(Said, self.wait),
            },
            self.initialize,
            max_in_flight=MAX_IN_FLIGHT,
        )

    def shake_hands(self) -> "Served":
        assert self.answer(INITIALIZE)["result"]["sessionId"] == "s"
        assert self.rpc.begin(INITIALIZED) is None
        return self

    def initialize(self, params: InitializeParams) -> InitializeResult:
        if self.refusal is not None:
            raise self.refusal
        self.begun.append(params.client_name)
        return InitializeResult("s")

    async def ping(self, _: Empty) -> Empty:
        self.begun.append("ping")
        return Empty()

    async def say(self, params: Said) -> Said:
        self.begun.append(params.text)
        return params

    async def wait(self, params: Said) -> Said:
        self.begun.append(params.text)
        await step_aside()
        await self.go_on.wait()
        return params

    async def stand(self, params: Said) -> Said:
        await stand_by(self.standing.append)
        if params.text == "twice":
            await step_aside()
        return params

    async def write(self, params: WriteParams) -> WriteResult:
        self.begun.append(params.chunk.decode())
        return WriteResult("accepted")

    async def crash(self, _: Empty) -> Empty:
        raise ZeroDivisionError

    def answer(self, line: bytes | Oversized) -> Any:
        """The answer of what is answered at once."""
        answer = self.rpc.begin(line)
        assert isinstance(answer, bytes), answer
        assert answer.count(b"\n") == 1
        return json.loads(answer)

    def error(self, line: bytes | Oversized) -> tuple[int, Any]:
        answer = self.answer(line)
        assert answer["jsonrpc"] == "2.0"
        return answer["error"]["code"], answer["id"]

    def unfinished(self, line: bytes) -> Unfinished:
        unfinished = self.rpc.begin(line)
        assert isinstance(unfinished, Unfinished), unfinished
        return unfinished

    def lives(self) -> bool:
        answer: Any = self.answer(PING)
        return bool(answer == {"jsonrpc": "2.0", "id": "after", "result": {}})


def request(method: str, request_id: Any = 1, **params: Any) -> bytes:
    return json.dumps({"id": request_id, "method": method, "params": params}).encode()


# Every kind of bad line; after each the connection answers the next request.

BAD = [
    (OVERSIZED, INVALID_REQUEST, None),
    (b"[]", INVALID_REQUEST, None),
    (b"[" + PING + b"," + PING + b"]", INVALID_REQUEST, None),
    (b"garbage", PARSE_ERROR, None),
    (b'{"id":1,"method":"ping"', PARSE_ERROR, None),
    (b'{"id":1,"method":"\xff"}', PARSE_ERROR, None),
    (b'{"id":1,"method":"ping"}\0', PARSE_ERROR, None),
    (b"\0", PARSE_ERROR, None),
    (b"[" * 100_000, PARSE_ERROR, None),
    (b'{"id":1,"method":"ping","params":{"a":' + b"[" * 100_000, PARSE_ERROR, None),
    (b"5", INVALID_REQUEST, None),
    (b'{"id":1}', INVALID_REQUEST, 1),
    (b'{"id":"a","method":null}', INVALID_REQUEST, "a"),
    (b'{"id":1.5,"method":"ping"}', INVALID_REQUEST, None),
    (b'{"id":true,"method":"ping"}', INVALID_REQUEST, None),
    (b'{"id":null,"method":"ping"}', INVALID_REQUEST, None),
    (b'{"id":{},"method":"ping"}', INVALID_REQUEST, None),
    (b'{"jsonrpc":"1.0","id":2,"method":"ping"}', INVALID_REQUEST, 2),
    (b'{"id":3,"method":"unknown"}', METHOD_NOT_FOUND, 3),
    (b'{"id":3,"method":""}', METHOD_NOT_FOUND, 3),
    (b'{"id":4,"method":"say","params":{"text":1}}', INVALID_PARAMS, 4),
    (b'{"id":4,"method":"say","params":[1]}', INVALID_PARAMS, 4),
    (b'{"id":4,"method":"say","params":"text"}', INVALID_PARAMS, 4),
    (b'{"id":5,"method":"crash"}', INTERNAL_ERROR, 5),
    (INITIALIZE, INVALID_REQUEST, 0),
]


@pytest.mark.parametrize(("line", "code", "request_id"), BAD, ids=lambda value: repr(value)[:50])
def test_a_bad_line_is_answered_once_and_the_connection_lives(
    line: bytes | Oversized, code: int, request_id: Any
) -> None:
    served = Served().shake_hands()
    assert served.error(line) == (code, request_id)
    assert served.lives()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"  \t ",
        b'{"method":"unknown"}',
        b'{"method":"say","params":{"text":1}}',
        b'{"method":"ping"}',
        b'{"method":"initialized"}',
        b'{"id":1,"result":{}}',
        b'{"id":1,"error":{"code":-1,"message":"m"}}',
    ],
)
def test_what_is_no_request_is_never_answered_and_the_connection_lives(line: bytes) -> None:
    served = Served().shake_hands()
    assert served.rpc.begin(line) is None
    assert served.begun == ["test"]
    assert served.lives()


@given(st.binary(max_size=40))
def test_no_bytes_end_the_connection(line: bytes) -> None:
    served = Served().shake_hands()
    served.rpc.begin(line)
    assert served.lives()


@pytest.mark.parametrize("depth", range(100, 1000, 7))
def test_no_depth_ends_the_connection(depth: int) -> None:
    served = Served().shake_hands()
    nested = b"[" * depth + b"]" * depth
    answer = served.answer(b'{"id":1,"method":"say","params":{"text":"","more":' + nested + b"}}")
    assert "result" in answer or answer["error"]["code"] in (PARSE_ERROR, INVALID_PARAMS)
    assert served.lives()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"method":"unknown"}', "ignored the notification 'unknown'"),
        (b'{"id":1,"result":{}}', "ignored a response to no request"),
    ],
)
def test_what_is_ignored_is_logged(line: bytes, told: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    Served().shake_hands().rpc.begin(line)
    assert told in caplog.text


@pytest.mark.parametrize("request_id", [0, -1, 2**53, 2**70, "", "1", "\u00e9", "\n"])
def test_an_id_is_echoed_with_its_type(request_id: Any) -> None:
    answer = Served().shake_hands().answer(request("say", request_id, text="x"))
    assert (answer["id"], type(answer["id"]), answer["result"]) == (request_id, type(request_id), {"text": "x"})


@pytest.mark.parametrize("params", ["", ',"params":null', ',"params":{}'])
def test_absent_and_null_params_are_an_empty_object(params: str) -> None:
    line = f'{{"id":1,"method":"say"{params}}}'.encode()
    assert Served().shake_hands().answer(line)["result"] == {"text": ""}


def test_a_line_that_is_too_long_says_so() -> None:
    assert Served().answer(OVERSIZED)["error"]["message"] == "the line is too long"


# The handshake.

EXEC = "client must {} before using exec methods"
FILESYSTEM = "client must {} before using filesystem methods"


@pytest.mark.parametrize(("method", "text"), [("ping", EXEC), ("say", EXEC), ("fs/look", FILESYSTEM)])
def test_before_the_handshake_is_done_each_request_says_what_is_missing(method: str, text: str) -> None:
    served = Served()

    def refusal() -> str:
        error = served.answer(request(method))["error"]
        assert (error["code"], error["data"]) == (INVALID_REQUEST, {"kind": "notInitialized"})
        message: str = error["message"]
        return message

    assert refusal() == text.format("call initialize")
    served.rpc.begin(INITIALIZED)
    assert refusal() == text.format("call initialize")  # which was ignored, being too early
    served.answer(INITIALIZE)
    assert refusal() == text.format("send initialized")
    served.rpc.begin(INITIALIZED)
    assert "result" in served.answer(request(method))


def test_an_unknown_method_is_unknown_before_the_handshake_too() -> None:
    served = Served()
    assert served.error(request("unknown")) == (METHOD_NOT_FOUND, 1)
    assert served.answer(request("unknown"))["error"]["data"] == {"kind": "methodNotFound"}


def test_initialize_twice_is_refused_and_changes_nothing() -> None:
    served = Served().shake_hands()
    error = served.answer(INITIALIZE)["error"]
    assert (error["message"], error["data"]["kind"]) == (
        "initialize may only be sent once per connection",
        "alreadyInitialized",
    )
    assert served.begun == ["test"]
    assert served.lives()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"id":0,"method":"initialize"}', INVALID_PARAMS),
        (b'{"id":0,"method":"initialize","params":{"clientName":5}}', INVALID_PARAMS),
        (b'{"id":0,"method":"initialize","params":[]}', INVALID_PARAMS),
        (b'{"id":0,"method":"initialize","params":{"clientName":"\xff"}}', PARSE_ERROR),
    ],
)
def test_initialize_that_failed_may_be_tried_again(line: bytes, code: int) -> None:
    served = Served()
    assert served.answer(line)["error"]["code"] == code
    assert served.shake_hands().lives()


def test_initialize_that_was_refused_may_be_tried_again() -> None:
    served = Served()
    served.refusal = Fault(INVALID_REQUEST, "unknown session id X", "unknownSession")
    error = served.answer(INITIALIZE)["error"]
    assert (error["message"], error["data"]) == ("unknown session id X", {"kind": "unknownSession"})
    served.refusal = None
    assert served.shake_hands().lives()


def test_initialize_as_a_notification_begins_nothing() -> None:
    served = Served()
    assert served.rpc.begin(b'{"method":"initialize","params":{"clientName":"test"}}') is None
    assert served.begun == []
    assert served.shake_hands().lives()


def test_nothing_is_prepared_before_initialize_was_answered() -> None:
    served = Served()
    served.rpc.prepare()
    assert served.rpc._dispatcher is None
    served.answer(INITIALIZE)
    served.rpc.prepare()
    prepared = served.rpc._dispatcher
    assert prepared is not None
    served.rpc.prepare()
    assert served.rpc._dispatcher is prepared


# Requests in flight.


async def test_requests_are_begun_in_the_order_of_their_lines_and_answered_in_any() -> None:
    served = Served().shake_hands()
    first = served.unfinished(request("wait", 1, text="first"))
    assert served.answer(request("say", 2, text="second"))["id"] == 2
    second = served.unfinished(request("wait", 3, text="third"))
    assert served.begun == ["test", "first", "second", "third"]
    served.go_on.set()
    assert json.loads(await served.rpc.finish(second)) == {"jsonrpc": "2.0", "id": 3, "result": {"text": "third"}}
    assert json.loads(await served.rpc.finish(first))["result"] == {"text": "first"}


async def test_the_surplus_request_is_refused_at_once_until_another_is_answered() -> None:
    served = Served().shake_hands()
    waiting = [served.unfinished(request("wait", number)) for number in range(MAX_IN_FLIGHT)]
    for method in ("wait", "say", "crash"):
        error = served.answer(request(method, 9))["error"]
        assert (error["code"], error["data"]) == (SERVER_ERROR, {"kind": "serverBusy"})
        assert error["message"].startswith("server busy")
    served.go_on.set()
    await served.rpc.finish(waiting[0])
    assert "result" in served.answer(request("say", 10))
    for unfinished in waiting[1:]:
        await served.rpc.finish(unfinished)


@pytest.mark.parametrize("method", sorted(NEVER_BUSY))
async def test_what_ends_or_watches_processes_is_never_refused(method: str) -> None:
    served = Served().shake_hands()
    waiting = [served.unfinished(request("wait", number)) for number in range(MAX_IN_FLIGHT)]
    for _ in range(MAX_IN_FLIGHT):
        outcome = served.rpc.begin(request(method))
        if isinstance(outcome, Unfinished):
            waiting.append(outcome)
        else:
            assert isinstance(outcome, bytes)
            assert b'"result"' in outcome
    served.go_on.set()
    for unfinished in waiting:
        await served.rpc.finish(unfinished)


@pytest.mark.parametrize("size", [3, LONG_BYTES])
def test_a_write_is_admitted_and_begun_alike_however_long(size: int) -> None:
    served = Served()
    line = request("process/write", processId="p", chunk=base64.b64encode(b"x" * size).decode())
    assert served.error(line) == (INVALID_REQUEST, 1)
    served.shake_hands()
    assert served.answer(line)["result"] == {"status": "accepted"}
    assert served.begun[-1] == "x" * size


async def test_a_request_that_the_end_of_the_session_cancels_is_answered_so() -> None:
    served = Served().shake_hands()
    answer = json.loads(served.rpc.give_up(served.unfinished(request("wait", "w"))))
    assert (answer["id"], answer["error"]["code"]) == ("w", SERVER_ERROR)
    assert answer["error"]["data"] == {"kind": "sessionEnded"}


def test_a_request_that_stands_by_is_in_flight_until_it_is_resumed() -> None:
    served = Served().shake_hands()
    waiting = [served.unfinished(request("stand", number, text=str(number))) for number in range(MAX_IN_FLIGHT)]
    assert served.answer(request("say", 9))["error"]["data"] == {"kind": "serverBusy"}
    for unfinished in waiting:
        assert isinstance(unfinished.waits, StandingBy)
        answer = json.loads(served.rpc.resume(unfinished))
        assert answer["result"] == {"text": str(answer["id"])}
    assert "result" in served.answer(request("say", 9))


def test_a_request_that_waits_again_behind_standing_by_is_a_mistake_that_is_told() -> None:
    served = Served().shake_hands()
    unfinished = served.unfinished(request("stand", text="twice"))
    with pytest.raises(RuntimeError, match=r"waits again, behind stand_by\(\)"):
        served.rpc.resume(unfinished)


async def test_a_request_that_was_cancelled_is_no_longer_in_flight() -> None:
    served = Served().shake_hands()
    for number in range(MAX_IN_FLIGHT + 1):
        with trio.CancelScope() as scope:
            scope.cancel()
            await served.rpc.finish(served.unfinished(request("wait", number)))
        assert scope.cancelled_caught
    assert served.lives()


def test_a_busy_server_still_says_what_it_does_not_know() -> None:
    served = Served().shake_hands()
    waiting = [served.unfinished(request("wait", number)) for number in range(MAX_IN_FLIGHT)]
    assert served.error(request("unknown")) == (METHOD_NOT_FOUND, 1)
    assert served.error(b"garbage") == (PARSE_ERROR, None)
    for unfinished in waiting:
        unfinished.coroutine.close()
