"""The handshake and the methods about the server itself: protocol, section 1."""

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.daemon.launching import launch
from tests.daemon.wire_client import Client

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NOT_INITIALIZE = "client must call initialize before using {} methods"
NOT_INITIALIZED = "client must send initialized before using {} methods"
GATED: dict[str, tuple[dict[str, object], str]] = {
    "process/start": ({"processId": "p", "argv": ["true"]}, "exec"),
    "process/read": ({"processId": "p"}, "exec"),
    "process/write": ({"processId": "p", "chunk": ""}, "exec"),
    "process/signal": ({"processId": "p", "signal": "interrupt"}, "exec"),
    "process/terminate": ({"processId": "p"}, "exec"),
    "fs/getMetadata": ({"path": "/"}, "filesystem"),
    "fs/readFile": ({"path": "/etc/passwd"}, "filesystem"),
    "fs/readDirectory": ({"path": "/"}, "filesystem"),
}


def native(uri: str) -> str:
    return unquote(urlsplit(uri).path)


@pytest.mark.parametrize("method", GATED)
async def test_before_initialize_a_method_is_refused_by_name(stranger: Client, method: str) -> None:
    params, family = GATED[method]
    error = await stranger.refused(method, **params)
    assert (error.code, error.message) == (-32600, NOT_INITIALIZE.format(family))
    await stranger.initialize()


async def test_before_initialized_methods_are_refused_by_name(stranger: Client) -> None:
    await stranger.request("initialize", clientName="tests")
    for method, (params, family) in GATED.items():
        error = await stranger.refused(method, **params)
        assert (error.code, error.message) == (-32600, NOT_INITIALIZED.format(family)), method
    await stranger.notify("initialized")
    assert (await stranger.run("p", ["echo", "open"])).stdout == b"open\n"


async def test_a_refused_start_has_started_nothing(stranger: Client) -> None:
    await stranger.refused("process/start", processId="p", argv=["true"])
    await stranger.initialize()
    assert (await stranger.run("p", ["echo", "fresh"])).stdout == b"fresh\n"


async def test_an_unknown_method_is_unknown_before_the_handshake_too(stranger: Client) -> None:
    assert (await stranger.refused("no/such/method")).code == -32601
    await stranger.request("initialize", clientName="tests")
    assert (await stranger.refused("no/such/method")).code == -32601


async def test_initialized_before_initialize_is_ignored(stranger: Client) -> None:
    await stranger.notify("initialized")
    error = await stranger.refused("process/read", processId="p")
    assert error.message == NOT_INITIALIZE.format("exec")
    await stranger.request("initialize", clientName="tests")
    error = await stranger.refused("process/read", processId="p")
    assert error.message == NOT_INITIALIZED.format("exec")
    await stranger.notify("initialized")
    assert (await stranger.refused("process/read", processId="p")).message == "unknown process id p"


async def test_a_second_initialize_is_refused_and_the_connection_lives(client: Client) -> None:
    error = await client.refused("initialize", clientName="again")
    assert error.code == -32600
    assert (await client.run("p", ["echo", "alive"])).stdout == b"alive\n"


async def test_a_second_initialized_changes_nothing(client: Client) -> None:
    await client.notify("initialized")
    assert (await client.run("p", ["echo", "alive"])).stdout == b"alive\n"


async def test_initialize_that_failed_may_be_tried_again(stranger: Client) -> None:
    assert (await stranger.refused("initialize")).code == -32602
    assert (await stranger.refused("initialize", clientName=5)).code == -32602
    assert (await stranger.refused("initialize", clientName="c", resumeSessionId=5)).code == -32602
    error = await stranger.refused("initialize", clientName="c", resumeSessionId="old-one")
    assert (error.code, error.message) == (-32600, "unknown session id old-one")
    assert (await stranger.refused("process/read", processId="p")).message == NOT_INITIALIZE.format("exec")
    assert UUID.fullmatch((await stranger.initialize())["sessionId"])
    assert (await stranger.run("p", ["echo", "open"])).stdout == b"open\n"


async def test_resume_session_id_may_be_null(stranger: Client) -> None:
    assert "sessionId" in await stranger.request("initialize", clientName="c", resumeSessionId=None)


async def test_the_handshake_may_be_pipelined(stranger: Client) -> None:
    await stranger.send(
        {"id": "i", "method": "initialize", "params": {"clientName": "c"}},
        {"method": "initialized"},
        {"id": "s", "method": "process/start", "params": {"processId": "p", "argv": ["echo", "hi"]}},
    )
    assert "result" in await stranger.answer("i")
    assert "result" in await stranger.answer("s")
    assert (await stranger.until_closed("p")).stdout == b"hi\n"


async def test_initialize_says_who_serves_and_where(stranger: Client) -> None:
    result = await stranger.initialize()
    assert UUID.fullmatch(result["sessionId"])
    assert result["serverInfo"]["name"] == "execserver"
    assert isinstance(result["serverInfo"]["version"], str)
    assert result["protocolVersion"]
    assert isinstance(result["capabilities"], dict)
    assert result["environmentInfo"] == await stranger.request("environment/info")


async def test_two_daemons_have_two_session_ids() -> None:
    async with launch(handshake=False) as one, launch(handshake=False) as other:
        assert (await one.initialize())["sessionId"] != (await other.initialize())["sessionId"]


async def test_environment_info_tells_the_truth(tmp_path: Path) -> None:
    odd = f"{tmp_path}/with blank & ü"
    os.mkdir(odd)
    async with launch(cwd=odd) as client:
        info = await client.request("environment/info")
        assert native(info["cwd"]) == odd
        assert urlsplit(info["cwd"]).scheme == "file"
        assert info["cwd"].isascii()
        assert " " not in info["cwd"]
        assert info["shell"]["path"].startswith("/")
        assert os.access(info["shell"]["path"], os.X_OK)
        assert info["shell"]["name"] == os.path.basename(info["shell"]["path"])
        assert native(info["userHomeDir"]) == os.environ.get("HOME", native(info["userHomeDir"]))
        assert os.access(native(info["tempDir"]), os.W_OK | os.X_OK)
        assert info["platformOs"] == "linux"
        assert isinstance(info["executorVersion"], str)
        assert info["capabilities"] == {}


async def test_environment_info_takes_null_and_empty_params(client: Client) -> None:
    await client.send(
        {"id": "null", "method": "environment/info", "params": None},
        {"id": "empty", "method": "environment/info", "params": {}},
        {"id": "absent", "method": "environment/info"},
    )
    answers = [(await client.answer(name))["result"] for name in ("null", "empty", "absent")]
    assert answers[0] == answers[1] == answers[2]


async def test_rpc_discover_describes_every_method_that_is_served(client: Client) -> None:
    document = await client.request("rpc.discover")
    assert document["openrpc"].startswith("1.")
    described = {method["name"] for method in document["methods"]}
    assert {"initialize", "process/start", "process/read", "process/resize", "ping", "shutdown"} <= described
    for method in document["methods"]:
        assert "params" in method, method["name"]
    for name in described - {"initialize", "shutdown"}:
        answer = await client.answer(await client.begin(name))
        assert answer.get("error", {}).get("code") != -32601 or "extra" in str(answer), (name, answer)


async def test_the_claimed_methods_are_served(stranger: Client) -> None:
    claimed = (await stranger.initialize())["capabilities"].get("methods", [])
    for name in set(claimed) - {"initialize", "shutdown"}:
        answer = await stranger.answer(await stranger.begin(name))
        assert answer.get("error", {}).get("code") != -32601, (name, answer)


async def test_ping_answers_an_empty_object(client: Client) -> None:
    assert await client.request("ping") == {}


async def test_ping_is_answered_before_the_handshake_or_refused_in_its_terms(stranger: Client) -> None:
    answer = await stranger.answer(await stranger.begin("ping"))
    assert answer.get("result") == {} or answer["error"]["code"] == -32600
