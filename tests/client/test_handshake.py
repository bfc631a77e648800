"""How a session begins, or does not: with a clock that is turned by hand."""

import json

import pytest

from execserver.client.core import ClientCore
from execserver.client.daemon import Daemon
from execserver.client.errors import ClosedError, Disconnected, RpcError
from execserver.client.handshake import Handshake
from execserver.client.source import nobody
from execserver.client.stderr import Stderr

RESULT = {"sessionId": "s"}


class Begun:
    """A handshake of 10 s, begun at 100 s."""

    def __init__(self) -> None:
        self.now = 100.0
        self.core = ClientCore()
        self.stderr = Stderr(forward=False)
        self.handshake = Handshake(Daemon(self.core, "ssh", self.stderr, nobody), "test", 10.0, lambda: self.now)

    def answer(self, **members: object) -> None:
        request = json.loads(self.core.take_outgoing())
        assert request["method"] == "initialize"
        self.core.feed(json.dumps({"id": request["id"]} | members).encode() + b"\n")


@pytest.fixture
def begun() -> Begun:
    return Begun()


def test_the_answer_wakes_who_waits_and_begins_the_session(begun: Begun) -> None:
    woken: list[str] = []
    assert not begun.handshake.advance()
    with begun.core.parking.park(begun.handshake, lambda: woken.append("")):
        begun.answer(result=RESULT)
    assert woken
    assert begun.handshake.advance()
    begun.handshake.take()
    assert begun.core.info is not None
    assert json.loads(begun.core.take_outgoing())["method"] == "initialized"


def test_a_refusal_is_the_servers_error(begun: Begun) -> None:
    begun.answer(error={"code": -32600, "message": "too old"})
    assert begun.handshake.advance()
    with pytest.raises(RpcError, match="too old"):
        begun.handshake.take()


def test_being_woken_prolongs_nothing(begun: Begun) -> None:
    assert begun.handshake.patience == 10
    begun.now = 107.0
    assert begun.handshake.patience == 3
    begun.now = 120.0
    assert begun.handshake.patience == 0


def test_silence_is_a_disconnect_with_all_that_came_instead(begun: Begun) -> None:
    begun.core.feed(b"password: ")
    begun.stderr.add(b"known hosts are added\n")
    begun.handshake.expire()
    assert begun.handshake.advance()
    with pytest.raises(Disconnected) as caught:
        begun.handshake.take()
    assert caught.value.reason == (
        "ssh did not answer initialize within 10 s; it said 'password:'; its stderr ends: known hosts are added"
    )


def test_an_answer_in_the_last_moment_is_an_answer(begun: Begun) -> None:
    begun.handshake.expire()
    begun.answer(result=RESULT)
    assert begun.handshake.advance()
    begun.handshake.take()


def test_a_daemon_that_ends_instead_is_the_error(begun: Begun) -> None:
    begun.core.end_of_file("ssh exited with 255")
    assert begun.handshake.advance()
    with pytest.raises(Disconnected, match="exited with 255"):
        begun.handshake.take()


def test_a_daemon_that_has_ended_before_is_the_error() -> None:
    core = ClientCore()
    core.end_of_file("ssh exited with 255")
    with pytest.raises(Disconnected, match="exited with 255"):
        Handshake(Daemon(core, "ssh", Stderr(forward=False), nobody), "test", 10.0, lambda: 0.0)


def test_an_answer_that_nobody_waits_for_any_more_is_ignored(begun: Begun) -> None:
    begun.handshake.cancel()
    begun.answer(result=RESULT)
    assert not begun.handshake.advance()
    assert begun.core.info is None
    begun.core.close()
    with pytest.raises(ClosedError):
        begun.handshake.take()
