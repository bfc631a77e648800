"""Params that are wrong, and errors that tell: protocol, section 1."""

import pytest

from tests.daemon.life import RpcError
from tests.daemon.wire_client import Client


async def test_bad_params_name_the_path_and_what_was_expected(client: Client) -> None:
    refusals: list[tuple[str, dict[str, object], str]] = [
        ("process/start", {}, "processId"),
        ("process/start", {"processId": 7, "argv": ["true"]}, "$.processId"),
        ("process/start", {"processId": "p", "argv": "true"}, "$.argv"),
        ("process/start", {"processId": "p", "argv": ["true", 1]}, "$.argv[1]"),
        ("process/start", {"processId": "p", "argv": ["true"], "tty": "yes"}, "$.tty"),
        ("process/start", {"processId": "p", "argv": ["true"], "env": {"A": 1}}, "$.env"),
        ("process/start", {"processId": "p", "argv": ["true"], "size": {"rows": 0, "cols": 1}}, "$.size.rows"),
        ("process/write", {"processId": "p"}, "chunk"),
        ("process/signal", {"processId": "p"}, "signal"),
        ("process/terminate", {"processId": None}, "$.processId"),
        ("process/read", {"processId": "p", "waitMs": "soon"}, "$.waitMs"),
    ]
    for method, params, path in refusals:
        error = await client.refused(method, **params)
        assert (error.code, path in error.message) == (-32602, True), (method, params, error.message)
    assert client.lives == {}


async def test_params_of_the_wrong_shape_are_bad_params(client: Client) -> None:
    for n, params in enumerate(["x", 1, True, ["p", ["true"]], None]):
        await client.send({"jsonrpc": "2.0", "id": f"w{n}", "method": "process/start", "params": params})
        answer = await client.answer(f"w{n}")
        assert answer["error"]["code"] in (-32602, -32600), answer
    await client.send({"jsonrpc": "2.0", "id": "none", "method": "process/start"})
    assert (await client.answer("none"))["error"]["code"] == -32602


async def test_unknown_members_are_tolerated_in_envelope_and_params(client: Client) -> None:
    await client.send(
        {
            "jsonrpc": "2.0",
            "trace": {"id": 9},
            "id": "u",
            "method": "process/start",
            "params": {"processId": "p", "argv": ["true"], "novelty": [1, {"deep": None}]},
        }
    )
    assert (await client.answer("u"))["result"]["processId"] == "p"
    await client.until_closed("p")


async def test_errors_carry_a_stable_kind(client: Client) -> None:
    for method, params, code, kind in [
        ("process/read", {"processId": "nobody"}, -32600, "unknownProcess"),
        ("no/such/method", {}, -32601, "methodNotFound"),
        ("process/start", {}, -32602, "invalidParams"),
    ]:
        with pytest.raises(RpcError) as caught:
            await client.request(method, **params)
        assert (caught.value.code, caught.value.kind) == (code, kind)
