"""jsonrpcserver under trio: first what is relied on from inside it, then what is made of it."""

import inspect
import json
import logging
from typing import Any, cast

import jsonrpcserver
import pytest
import trio
from jsonrpcserver.async_dispatcher import call
from jsonrpcserver.request import Request
from jsonrpcserver.result import Result, Right  # type: ignore[attr-defined]  # it is oslash's, and used there
from jsonrpcserver.sentinels import NOCONTEXT
from msgspec import Raw

from execserver.server.dispatch import Dispatcher
from execserver.server.eager import begin
from execserver.server.method import Handler, Method
from execserver.wire.base import Empty, Message
from execserver.wire.errors import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, NOT_FOUND, Fault


def driven(coroutine: Any) -> Any:
    """Run what has no checkpoint; any would end the test."""
    with pytest.raises(StopIteration) as caught:
        coroutine.send(None)
    return caught.value.value


async def echo(params: bytes) -> Result:
    return jsonrpcserver.Success(params)


# The contract of each name that is imported from inside the library.


def test_contract_call_has_no_checkpoint_and_hands_one_positional_value_through() -> None:
    params = b'{"undecoded": true}'
    result = driven(call(Request("echo", [params], 5), NOCONTEXT, cast(Any, echo)))
    assert result._value.result is params


def test_contract_call_asks_for_no_signature() -> None:
    async def callee(params: bytes) -> Result:
        return jsonrpcserver.Success(params)

    callee.__signature__ = inspect.Signature([])  # type: ignore[attr-defined]
    result = driven(call(Request("m", [b"{}"], 1), NOCONTEXT, cast(Any, callee)))
    assert result._value.result == b"{}"


async def test_contract_call_lets_a_cancellation_through() -> None:
    async def wait(params: bytes) -> Result:
        await trio.sleep_forever()
        return jsonrpcserver.Success()

    with trio.CancelScope() as scope:
        scope.cancel()
        await call(Request("m", [b"{}"], 1), NOCONTEXT, cast(Any, wait))
    assert scope.cancelled_caught


def test_contract_a_json_rpc_error_becomes_an_error_with_its_code_message_and_data() -> None:
    async def fail(params: bytes) -> Result:
        raise jsonrpcserver.JsonRpcError(-5, "message", {"kind": "x"})

    request = Request("m", [b"{}"], "id")
    result = driven(call(request, NOCONTEXT, cast(Any, fail)))
    assert not isinstance(result, Right)
    assert tuple(cast(Any, result)._error) == (-5, "message", {"kind": "x"})


def test_contract_success_is_right_and_keeps_its_value_as_it_is() -> None:
    value = Empty()
    result: Any = jsonrpcserver.Success(value)
    assert isinstance(result, Right)
    assert result._value.result is value


def test_contract_nocontext_leaves_the_params_alone() -> None:
    seen: list[tuple[Any, ...]] = []

    async def variadic(*args: Any) -> Result:
        seen.append(args)
        return jsonrpcserver.Success()

    driven(call(Request("m", [b"{}"], 1), NOCONTEXT, cast(Any, variadic)))
    assert seen == [(b"{}",)]


# What the dispatcher makes of it.


class Params(Message, frozen=True):
    count: int
    name: str = "n"


class Made(Message, frozen=True):
    some_name: Any


def dispatcher(handle: Handler) -> Dispatcher:
    return Dispatcher({"m": Method(Params, handle)})


def answer(handle: Handler, params: bytes = b'{"count": 1}', method: str = "m") -> Any:
    line = begin(dispatcher(handle).answer(9, method, Raw(params)))
    assert isinstance(line, bytes)
    assert line.endswith(b"\n")
    return json.loads(line)


async def count(params: Params) -> Made:
    return Made([params.count, params.name])


async def test_params_become_their_struct_and_results_camel_case_members() -> None:
    assert answer(count) == {"jsonrpc": "2.0", "id": 9, "result": {"someName": [1, "n"]}}


async def test_a_fault_is_answered_with_its_code_kind_and_errno() -> None:
    async def fail(_: Params) -> Made:
        raise Fault(NOT_FOUND, "there is none", "notFound", errno=2)

    assert answer(fail)["error"] == {
        "code": NOT_FOUND,
        "message": "there is none",
        "data": {"kind": "notFound", "errno": 2},
    }


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (b'{"count": "1"}', "invalid params: Expected `int`, got `str` - at `$.count`"),
        (b'{"count": 1.5}', "invalid params: Expected `int`, got `float` - at `$.count`"),
        (b"{}", "invalid params: Object missing required field `count` - at `$.count`"),
        (b"[1]", "invalid params: Expected `object`, got `array` - at `$`"),
        (b"1", "invalid params: Expected `object`, got `int` - at `$`"),
    ],
)
async def test_bad_params_are_told_with_their_path(params: bytes, message: str) -> None:
    assert answer(count, params)["error"] == {
        "code": INVALID_PARAMS,
        "message": message,
        "data": {"kind": "invalidParams"},
    }


async def test_a_handler_that_crashes_is_an_internal_error_whose_traceback_is_in_the_log_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def crash(_: Params) -> Made:
        raise ZeroDivisionError("a secret of the server")

    assert answer(crash)["error"] == {
        "code": INTERNAL_ERROR,
        "message": "internal error",
        "data": {"kind": "internalError"},
    }
    assert "m failed" in caplog.text
    assert "ZeroDivisionError: a secret of the server" in caplog.text


async def test_a_method_that_is_not_there_is_told_by_name_and_not_remembered() -> None:
    served = dispatcher(count)
    for _ in range(2):
        line = begin(served.answer(1, "unknown", Raw(b"{}")))
        assert isinstance(line, bytes)
        assert json.loads(line)["error"] == {
            "code": METHOD_NOT_FOUND,
            "message": "method not found: unknown",
            "data": {"kind": "methodNotFound"},
        }
    assert "unknown" not in served._callees


async def test_a_method_whose_import_fails_is_an_internal_error_and_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(dict[str, Method]):
        def __missing__(self, name: str) -> Method:
            raise ImportError("too many open files")

    methods = Broken()
    table = Dispatcher(methods)
    answered = json.loads(driven(table.answer(1, "m", Raw(b"{}"))))
    assert answered["error"] == {"code": INTERNAL_ERROR, "message": "internal error", "data": {"kind": "internalError"}}
    assert "too many open files" in caplog.text

    methods["m"] = Method(Params, count)
    assert "result" in json.loads(driven(table.answer(2, "m", Raw(b'{"count": 1}'))))


@pytest.mark.parametrize("where", ["result", "message"])
async def test_a_lone_surrogate_on_its_way_out_is_an_internal_error_and_logged(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def leak(_: Params) -> Made:
        if where == "message":
            raise Fault(INTERNAL_ERROR, "no \udcff", "ioError")
        return Made("name \udcff")

    caplog.set_level(logging.ERROR)
    assert answer(leak)["error"]["message"] == "internal error"
    assert "the answer of m cannot be encoded" in caplog.text


async def test_a_result_nested_too_deeply_is_an_internal_error(caplog: pytest.LogCaptureFixture) -> None:
    async def nest(_: Params) -> Made:
        nested: list[Any] = []
        for _level in range(100_000):
            nested = [nested]
        return Made(nested)

    assert answer(nest)["error"]["message"] == "internal error"
    assert "the answer of m cannot be encoded" in caplog.text


async def test_a_cancelled_handler_is_not_answered() -> None:
    async def wait(_: Params) -> Made:
        await trio.sleep_forever()
        return Made(None)

    with trio.CancelScope() as scope:
        scope.cancel()
        await dispatcher(wait).answer(1, "m", Raw(b'{"count": 1}'))
    assert scope.cancelled_caught
