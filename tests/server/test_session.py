"""The table of a session's methods, and those about the server itself."""

import uuid
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from execserver import __version__
from execserver.server import session as module
from execserver.server.outbox import Outbox
from execserver.server.processes import Processes
from execserver.server.rpc import NEVER_BUSY
from execserver.server.session import Session
from execserver.wire import methods, names
from execserver.wire.base import Empty
from execserver.wire.errors import INVALID_REQUEST, METHOD_NOT_FOUND
from execserver.wire.http import BodyDelta
from execserver.wire.session import EnvironmentInfo, InitializeParams, InitializeResult
from tests.support.memory_wire import MemoryWire
from tests.support.peer import Peer


def session(nursery: trio.Nursery, outbox: Outbox | None = None) -> Session:
    outbox = outbox or Outbox(MemoryWire())

    def spawn(_: object) -> Any:
        raise AssertionError

    processes = Processes(outbox, nursery, spawn, retain_bytes=1, retain_seconds=1)
    return Session(processes, outbox, nursery, lambda: None)


async def test_what_is_served_is_what_the_table_of_the_protocol_says(nursery: trio.Nursery) -> None:
    served = session(nursery)
    assert next(iter(served)) == "initialize"
    assert set(served) == set(methods.METHODS)
    assert len(served) == len(methods.METHODS)
    for name, method in methods.METHODS.items():
        if name != "initialize":
            assert served[name].params is method.params, name
    assert methods.METHODS["initialize"][:2] == (InitializeParams, InitializeResult)
    await served.aclose()


def test_the_names_that_are_served_late_are_those_of_the_table() -> None:
    assert tuple(name for name in methods.METHODS if name.startswith("fs/")) == names.FILE_METHODS
    assert tuple(name for name in methods.METHODS if name.startswith("http/")) == names.HTTP_METHODS
    assert set(methods.METHODS) >= NEVER_BUSY


async def test_asking_what_is_served_imports_nothing(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: Session) -> Any:
        raise AssertionError("imported")

    monkeypatch.setattr(Session, "_load_files", load)
    monkeypatch.setattr(Session, "_load_http", load)
    served = session(nursery)
    assert "fs/readFile" in served
    assert "http/request" in served
    assert "nothing" not in served
    assert len(list(served)) == len(methods.METHODS)
    with pytest.raises(AssertionError, match="imported"):
        served["fs/readFile"]
    assert "fs/readFile" in served, "it is tried again"
    with pytest.raises(KeyError):
        served["nothing"]


async def test_without_its_extra_http_is_not_claimed_but_can_be_asked_for(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    served = session(nursery)
    assert "http/request" not in list(served)
    assert "http/request" in served


async def test_a_push_waits_for_room_and_is_a_notification(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    wire = MemoryWire(room=0)
    outbox = Outbox(wire)
    served = session(nursery, outbox)
    nursery.start_soon(outbox.run)
    outbox.post(b"\n" * 1024 * 1024)
    with trio.move_on_after(5) as waiting:
        await served._push("http/request/bodyDelta", BodyDelta("r", 1, b"x"))
    assert waiting.cancelled_caught
    wire.read(None)
    await served._push("http/request/bodyDelta", BodyDelta("r", 1, b"x"))
    pushed = msgspec.json.decode(wire.output.strip())
    assert pushed["method"] == "http/request/bodyDelta"
    assert (pushed["params"]["requestId"], pushed["params"]["seq"]) == ("r", 1)


async def test_initialize_says_who_serves_and_what_is_there(peer: Peer, autojump_clock: MockClock) -> None:
    answer = next(line for line in peer.lines() if line["id"] == 1)["result"]
    assert uuid.UUID(answer["sessionId"]).version == 4
    assert answer["serverInfo"] == {"name": "execserver", "version": __version__}
    assert answer["protocolVersion"] == "1"
    assert set(answer["capabilities"]["methods"]) == set(methods.METHODS)
    assert answer["capabilities"]["extensions"] == list(names.EXTENSIONS)
    assert answer["environmentInfo"] == await peer.call("environment/info")
    assert msgspec.convert(answer["environmentInfo"], EnvironmentInfo).capabilities is not None
    assert answer["environmentInfo"]["capabilities"] == {}


async def test_no_session_can_be_resumed(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    peer = Peer()
    nursery.start_soon(peer.serve)
    refused = await peer.refusal("initialize", clientName="test", resumeSessionId="X")
    assert (refused.code, refused.kind, refused.message) == (
        INVALID_REQUEST,
        "unknownSession",
        "unknown session id X",
    )
    assert "sessionId" in await peer.shake_hands()


@pytest.mark.parametrize("method", ["ping", "environment/info", "process/list"])
async def test_a_method_without_params_takes_null_an_object_and_nothing(
    peer: Peer, autojump_clock: MockClock, method: str
) -> None:
    for params in ("", ',"params":null', ',"params":{"more":1}'):
        peer.wire.send(f'{{"id":"late","method":"{method}"{params}}}\n'.encode())
    first = await peer.call(method)
    assert [line["result"] for line in peer.lines() if isinstance(line["id"], str)] == [first] * 3


async def test_a_ping_is_answered_with_an_empty_object(peer: Peer, autojump_clock: MockClock) -> None:
    assert await peer.call("ping") == msgspec.to_builtins(Empty()) == {}


async def test_the_server_describes_itself(peer: Peer, autojump_clock: MockClock) -> None:
    document = await peer.call("rpc.discover")
    assert {method["name"] for method in document["methods"]} >= set(methods.METHODS)


async def test_what_is_not_served_is_not_found(peer: Peer, autojump_clock: MockClock) -> None:
    refused = await peer.refusal("process/explode")
    assert (refused.code, refused.kind) == (METHOD_NOT_FOUND, "methodNotFound")
