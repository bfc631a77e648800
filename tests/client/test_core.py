"""The core of a connection, fed by hand: what it answers, whom it wakes, and how it ends."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.json import decode

from execserver.client import core as core_module
from execserver.client.calls import Room
from execserver.client.core import BACKLOG_BYTES, ClientCore
from execserver.client.errors import (
    ClosedError,
    Disconnected,
    ProtocolError,
    RpcError,
    StartError,
    Unsupported,
)
from execserver.client.events import Closed, Exited, Output
from execserver.client.follower import FRUITLESS_SECONDS, IDLE_SECONDS, PROMPT_SECONDS
from execserver.client.pause import HAND_OVER_SECONDS, STALL_SECONDS, TURN_SECONDS, Pause
from execserver.client.process import ProcessCore
from execserver.client.run import Run
from execserver.client.source import Finished, Source
from execserver.client.starting import StartOptions, begin_start
from execserver.client.subscription import REORDER_SECONDS, Subscription

INFO = {
    "sessionId": "s",
    "environmentInfo": {"shell": {"name": "sh", "path": "/bin/sh"}, "cwd": "file:///srv/my%20dir"},
}
EVERYTHING = {"methods": ["ping", "process/list", "process/release", "process/resize"]} | {
    "extensions": [
        "closeStdin",
        "drainMs",
        "graceMs",
        "idleTimeoutMs",
        "mergeStderr",
        "signalNames",
        "size",
        "timeoutMs",
    ]
}


class Peer:
    """A server played by hand."""

    def __init__(self, *, extended: bool = True, **options: Any) -> None:
        self.core = ClientCore(**options)
        self.extended = extended

    def say(self, **message: Any) -> None:
        self.core.feed(json.dumps({"jsonrpc": "2.0"} | message).encode() + b"\n")

    def heard(self) -> list[dict[str, Any]]:
        return [decode(line) for line in self.core.take_outgoing().splitlines()]

    def answer(self, result: Any) -> dict[str, Any]:
        """Answer the one request that was sent since; return it."""
        (request,) = self.heard()
        self.say(id=request["id"], result=result)
        return request

    def refuse(self, code: int, message: str, **data: Any) -> None:
        (request,) = self.heard()
        self.say(id=request["id"], error={"code": code, "message": message} | ({"data": data} if data else {}))

    def greet(self) -> "Peer":
        call = self.core.initialize("test")
        self.answer(INFO | ({"capabilities": EVERYTHING} if self.extended else {}))
        assert call.advance()
        call.take()
        assert [message["method"] for message in self.heard()] == ["initialized"]
        return self

    def start(self, process_id: str = "p", **options: Any) -> ProcessCore:
        call = begin_start(self.core, ["x"], StartOptions(process_id=process_id, **options))  # type: ignore[typeddict-item]
        self.answer({"processId": process_id, "pid": 1})
        return call.take()

    def output(self, seq: int, chunk: str = "aGk=", process_id: str = "p") -> None:
        params = {"processId": process_id, "seq": seq, "stream": "stdout", "chunk": chunk}
        self.say(method="process/output", params=params)

    def exited(self, seq: int) -> None:
        self.say(method="process/exited", params={"processId": "p", "seq": seq, "exitCode": 7})

    def closed(self, seq: int) -> None:
        self.say(method="process/closed", params={"processId": "p", "seq": seq})


def page(*seqs: int, next_seq: int, **members: Any) -> dict[str, Any]:
    chunks = [{"seq": seq, "stream": "stdout", "chunk": "aGk="} for seq in seqs]
    state = {"exited": False, "exitCode": None, "closed": False}
    return {"chunks": chunks, "nextSeq": next_seq} | state | members


@pytest.fixture
def peer() -> Peer:
    return Peer().greet()


@pytest.fixture
def plain_peer() -> Peer:
    """A server that lists no capabilities: the reference server."""
    return Peer(extended=False).greet()


def waits(source: Source[Any]) -> bool:
    return not source.advance()


# Lines


def test_answers_go_to_their_calls_in_any_order(peer: Peer) -> None:
    one, two = peer.core.call("a", {}), peer.core.call("b", {})
    first, second = (request["id"] for request in peer.heard())
    assert waits(one)
    peer.say(id=second, result=2)
    peer.say(id=first, result=1)
    assert (one.advance(), one.take(), two.take()) == (True, 1, 2)


def test_an_error_answer_is_raised_with_its_kind(peer: Peer) -> None:
    call = peer.core.call("a", {})
    peer.refuse(-32603, "no", kind="programNotFound", errno=2)
    with pytest.raises(RpcError, match=r"no \(programNotFound\)") as caught:
        call.take()
    assert (caught.value.code, caught.value.errno, caught.value.data["errno"]) == (-32603, 2, 2)


def test_an_error_answer_without_data_has_no_kind(peer: Peer) -> None:
    call = peer.core.call("a", {})
    peer.refuse(-1, "no")
    with pytest.raises(RpcError, match=r"no \(-1\)") as caught:
        call.take()
    assert (caught.value.kind, caught.value.errno) == (None, None)


@pytest.mark.parametrize(
    "line",
    [
        b'{"id": 99, "result": 1}',
        b'{"id": "strange", "result": 1}',
        b'{"id": null, "error": {"code": -32700, "message": "?"}}',
        b'{"method": "no/such", "params": {}}',
        b'{"method": "process/output", "params": {"processId": "?", "seq": 1, "stream": "stdout", "chunk": ""}}',
        b"",
        b"  ",
        b'{"method": "x", "params": {"\xc3\xa4": 1}}',
    ],
)
def test_what_nobody_waits_for_is_ignored(peer: Peer, line: bytes) -> None:
    peer.core.feed(line + b"\r\n")
    assert (peer.core.disconnected, peer.heard()) == (None, [])


def test_a_request_of_the_servers_is_refused(peer: Peer) -> None:
    peer.say(id="7", method="client/do", params={})
    (answer,) = peer.heard()
    assert (answer["id"], answer["error"]["code"]) == ("7", -32601)
    peer.say(id=1.5, method="client/do", params={})
    (answer,) = peer.heard()
    assert (answer["id"], answer["error"]["code"]) == (None, -32600)


def test_requests_of_the_servers_do_not_pile_up(peer: Peer) -> None:
    for number in range(20_000):
        peer.say(id=number, method="client/do")
    assert len(peer.core.take_outgoing()) <= BACKLOG_BYTES + 200


@pytest.mark.parametrize(
    "line",
    [
        b"garbage",
        b"{",
        b"[]",
        b'{"a": 1}',
        b'{"id": 1}',
        b'{"method": "process/output", "params": {}}',
        b'{"method": "process/closed"}',
        b'{"method": "x", "params": "\xff"}',
        b'{"method": "x", "params": ' + b"[" * 100_000,
    ],
)
def test_garbage_after_the_first_message_ends_the_connection(peer: Peer, line: bytes) -> None:
    call = peer.core.call("a", {})
    peer.core.feed(line + b"\n")
    with pytest.raises(ProtocolError, match="garbage"):
        call.take()


def test_bad_base64_ends_the_connection(peer: Peer) -> None:
    process = peer.start()
    peer.output(1, "a!")
    assert "nonsense" in str(peer.core.disconnected)
    assert process.process_id == "p"


def test_a_result_that_is_none_ends_the_connection(peer: Peer) -> None:
    peer.start().read()
    peer.answer({"chunks": 1})
    assert "nonsense" in str(peer.core.disconnected)


def test_a_number_beyond_all_floats_ends_the_connection(peer: Peer) -> None:
    process = peer.start()
    times = {"durationMs": 10**400}
    peer.say(method="process/exited", params={"processId": "p", "seq": 1, "exitCode": 0} | times)
    assert "nonsense" in str(peer.core.disconnected)
    assert process.process_id == "p"


@pytest.mark.parametrize("result", [None, {}, {"running": None}, {"terminated": True}])
def test_a_server_need_not_say_whether_what_it_terminates_still_ran(plain_peer: Peer, result: Any) -> None:
    terminate = plain_peer.start().terminate()
    plain_peer.answer(result)
    assert terminate.advance()
    assert terminate.take() is None


def test_a_page_need_not_say_what_has_not_happened(plain_peer: Peer) -> None:
    read = plain_peer.start().read()
    plain_peer.answer({"chunks": [], "nextSeq": 1})
    page = read.take()
    assert (page.exited, page.exit_code, page.closed) == (False, None, False)


@pytest.mark.parametrize("theirs", [[], True, {"methods": {}}, {"experimental": True}])
def test_capabilities_of_another_protocol_are_none(theirs: Any) -> None:
    peer = Peer()
    call = peer.core.initialize("test")
    peer.answer({"sessionId": "s", "capabilities": theirs, "serverInfo": {"name": "theirs"}, "protocolVersion": 2})
    info = call.take()
    assert (info.session_id, info.server_info, info.protocol_version) == ("s", None, None)
    assert not peer.core.features.listed


def test_a_line_too_long_ends_the_connection(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_module, "LINE_BYTES", 100)
    short = Peer()
    short.core.feed(b'{"method": "x", "params": "' + b"a" * 200 + b'"}\n')
    assert "more than 100 bytes" in str(short.core.disconnected)


def test_the_largest_call_is_meant_by_an_error_without_an_id(peer: Peer) -> None:
    small, large = peer.core.call("a", {}), peer.core.call("b", "x" * (BACKLOG_BYTES + 1))
    peer.say(id=None, error={"code": -32600, "message": "line too long"})
    with pytest.raises(RpcError, match="line too long"):
        large.take()
    assert waits(small)


@pytest.mark.parametrize("code", [-32600, -32700])
def test_a_server_may_find_any_line_too_long(peer: Peer, code: int) -> None:
    small, large = peer.core.call("a", {}), peer.core.call("b", "xxxx")
    peer.say(id=None, error={"code": code, "message": "line too long"})
    with pytest.raises(RpcError, match="line too long"):
        large.take()
    assert waits(small)


def test_what_is_no_error_about_a_line_is_nobodys(peer: Peer) -> None:
    watch, small = peer.start().watch(), peer.core.call("a", {})
    peer.say(id=None, error={"code": -32603, "message": "who knows"})
    peer.say(id=None, result=1)
    small.cancel()
    watch.expire()
    peer.say(id=None, error={"code": -32600, "message": "not the read of a follower"})
    assert waits(small)
    assert waits(watch)
    assert peer.core.disconnected is None


# The banner


def test_a_banner_is_skipped() -> None:
    peer = Peer(preamble_limit=100)
    call = peer.core.initialize("test")
    peer.core.feed(b"Welcome!\n\n[1, 2]\n{}\n42\n")
    peer.answer(INFO)
    assert call.take().session_id == "s"
    assert peer.core.said == ""


def test_a_banner_without_an_end_is_shown() -> None:
    peer = Peer(preamble_limit=100)
    call = peer.core.initialize("test")
    peer.core.feed(b"command not found\n" * 10)
    with pytest.raises(ProtocolError, match="sent no JSON; it said 'command not found"):
        call.take()


def test_a_banner_without_lines_is_given_up() -> None:
    peer = Peer(preamble_limit=100)
    peer.core.feed(b"x" * (2 << 20))
    assert "no line of JSON" in str(peer.core.disconnected)


def test_what_waits_for_an_answer_without_ending_its_line_is_shown() -> None:
    peer = Peer()
    peer.core.feed(b"Welcome\nPassword: ")
    assert peer.core.said == "; it said 'Welcome\\nPassword:'"
    peer.core.feed(b"x" * 3000)
    assert peer.core.said == f"; it said {'x' * 2000!r}"


def test_a_banner_and_no_more_is_shown() -> None:
    peer = Peer()
    call = peer.core.initialize("test")
    peer.core.feed(b"bye")
    peer.core.end_of_file("it ended")
    with pytest.raises(Disconnected, match="it ended; it said 'bye'"):
        call.take()


# The end


def test_after_a_disconnect_every_call_raises_at_once(peer: Peer) -> None:
    woken = []
    process = peer.start()
    waiting = [peer.core.call("a", {}), process.watch(), process.subscribe(), Room(peer.core)]
    assert [waits(source) for source in waiting] == [True, True, True, False]
    with peer.core.parking.park(waiting[0], lambda: woken.append(1)):
        peer.core.end_of_file("gone")
    assert woken == [1]
    for source in waiting[:3]:
        assert source.advance()
        with pytest.raises(Disconnected, match="gone"):
            source.take()
    with pytest.raises(Disconnected):
        peer.core.call("a", {})
    peer.core.close()
    peer.core.feed(b"garbage\n")
    assert peer.core.disconnected == "gone"


@pytest.mark.parametrize("cut", [b"{", b'{"method": "x", "par', b"\xff", b'{"id": 1, "result"'])
def test_a_server_that_dies_in_the_middle_of_a_line_is_a_disconnect(peer: Peer, cut: bytes) -> None:
    call = peer.core.call("a", {})
    peer.core.feed(cut)
    peer.core.end_of_file("killed")
    with pytest.raises(Disconnected, match="killed") as caught:
        call.take()
    assert not isinstance(caught.value, ProtocolError)


def test_a_line_too_long_that_never_ends_is_a_disconnect_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_module, "LINE_BYTES", 100)
    peer = Peer()
    peer.core.feed(b'{"method": "x"}\n' + b"a" * 200)
    peer.core.end_of_file("killed")
    assert peer.core.disconnected == "killed"


def test_the_last_message_counts_without_the_end_of_its_line(peer: Peer) -> None:
    call = peer.core.call("a", {})
    (request,) = peer.heard()
    peer.core.feed(b'{"id": %d, "result": 7}' % request["id"])
    peer.core.end_of_file("gone")
    assert call.take() == 7


def test_one_subscription_is_for_one_consumer(peer: Peer) -> None:
    process = peer.start()
    events = process.subscribe()
    with peer.core.parking.park(events, lambda: None):  # noqa: SIM117
        with pytest.raises(RuntimeError, match="once for each consumer"), peer.core.parking.park(events, lambda: None):
            raise AssertionError("unreachable")
    with peer.core.parking.park(events, lambda: None):
        assert waits(events)


def test_whoever_closes_gets_a_closed_error(peer: Peer) -> None:
    call = peer.core.call("a", {})
    peer.core.close()
    with pytest.raises(ClosedError):
        call.take()


def test_lines_behind_the_one_that_ended_it_are_not_read(peer: Peer) -> None:
    call = peer.core.call("a", {})
    (request,) = peer.heard()
    peer.core.feed(b'garbage\n{"id": %d, "result": 1}\n' % request["id"])
    with pytest.raises(ProtocolError):
        call.take()


def test_a_cancelled_call_is_forgotten(peer: Peer) -> None:
    call = peer.core.call("a", {})
    call.cancel()
    peer.answer(1)
    assert waits(call)
    assert peer.core.disconnected is None


def test_calls_wait_while_too_much_is_to_be_sent(peer: Peer) -> None:
    room = Room(peer.core)
    assert room.advance()
    peer.core.call("a", "x" * BACKLOG_BYTES)
    assert waits(room)
    woken = []
    with peer.core.parking.park(room, lambda: woken.append(1)):
        peer.core.take_outgoing()
    assert (woken, room.advance()) == ([1], True)
    room.take()


# Starting


def test_a_start_that_nobody_waits_for_is_terminated_when_it_answers(peer: Peer) -> None:
    call = begin_start(peer.core, ["x"], {"process_id": "p"})
    call.cancel()
    peer.answer({"processId": "p"})
    (request,) = peer.heard()
    assert (request["method"], request["params"]) == ("process/terminate", {"processId": "p"})


def test_a_start_cancelled_just_after_its_answer_is_terminated_too(peer: Peer) -> None:
    call = begin_start(peer.core, ["x"], {"process_id": "p"})
    peer.answer({"processId": "p"})
    call.cancel()
    assert [request["method"] for request in peer.heard()] == ["process/terminate"]


def test_a_cancelled_start_that_failed_is_nothing(peer: Peer) -> None:
    call = begin_start(peer.core, ["x"], {})
    call.cancel()
    peer.refuse(-32603, "no")
    assert peer.heard() == []
    with pytest.raises(StartError):
        call.take()


def test_a_name_is_free_again_when_its_process_has_closed(peer: Peer) -> None:
    process = peer.start()
    with pytest.raises(StartError, match="already exists"):
        peer.start()
    peer.exited(1)
    peer.closed(2)
    assert process.process_id == peer.start().process_id


def started(peer: Peer, **options: Any) -> dict[str, Any]:
    begin_start(peer.core, ["x", "y"], options)  # type: ignore[arg-type]
    (request,) = peer.heard()
    params: dict[str, Any] = request["params"]
    assert params.pop("processId")
    return params


def test_a_start_sends_what_was_asked_and_no_more(peer: Peer) -> None:
    bare: dict[str, Any] = {"argv": ["x", "y"], "tty": False, "pipeStdin": False}
    assert started(peer) == bare
    assert started(peer, cwd="/a b/ä") == bare | {"cwd": "file:///a%20b/%C3%A4"}
    assert started(peer, cwd="sub/../x") == bare | {"cwd": "file:///srv/my%20dir/sub/../x"}
    assert started(peer, cwd="file:///c") == bare | {"cwd": "file:///c"}
    assert started(peer, env={"A": "1"}) == bare | {"env": {"A": "1"}}
    assert started(peer, env_policy={"inherit": "core"}) == bare | {"env": {}, "envPolicy": {"inherit": "core"}}
    assert started(peer, stdin="pipe", tty=True) == bare | {"pipeStdin": True, "tty": True}
    assert started(peer, tty=(1, 2)) == bare | {"tty": True, "size": {"rows": 1, "cols": 2}}
    times = started(peer, timeout=0.0001, idle_timeout=2, drain=0)
    assert times == bare | {"timeoutMs": 1, "idleTimeoutMs": 2000, "drainMs": 0}
    rest = started(peer, merge_stderr=True, arg0="z", metadata={"a": 1})
    assert rest == bare | {"mergeStderr": True, "arg0": "z", "metadata": {"a": 1}}


def test_a_server_without_a_directory_is_sent_none_that_was_not_asked_for() -> None:
    peer = Peer()
    peer.core.initialize("test")
    peer.answer({"sessionId": "s", "capabilities": EVERYTHING})
    peer.heard()
    assert "cwd" not in started(peer)
    assert started(peer, cwd="/a")["cwd"] == "file:///a"
    with pytest.raises(ValueError, match="relative to the server's directory, which it does not say: 'sub'"):
        started(peer, cwd="sub")


def test_the_reference_server_is_sent_the_directory_that_it_named(plain_peer: Peer) -> None:
    assert started(plain_peer)["cwd"] == "file:///srv/my%20dir"


def test_the_reference_server_gets_an_environment_that_inherits_all(plain_peer: Peer) -> None:
    params = started(plain_peer)
    assert params["env"] == {}
    assert params["envPolicy"]["inherit"] == "all"
    assert params["envPolicy"]["ignoreDefaultExcludes"] is True


@pytest.mark.parametrize(
    "options", [{"tty": (1, 1)}, {"merge_stderr": True}, {"timeout": 1}, {"idle_timeout": 1}, {"drain": 1}]
)
def test_an_extension_that_the_server_lacks_is_unsupported_before_anything_is_sent(
    plain_peer: Peer, options: dict[str, Any]
) -> None:
    with pytest.raises(Unsupported):
        begin_start(plain_peer.core, ["x"], options)  # type: ignore[arg-type]
    process = plain_peer.start()
    for call in (
        lambda: process.signal("TERM"),
        lambda: process.terminate(1),
        lambda: process.resize(1, 1),
        process.release,
        process.close_stdin,
    ):
        with pytest.raises(Unsupported):
            call()
    assert plain_peer.heard() == []
    process.signal("interrupt")
    process.terminate()
    assert len(plain_peer.heard()) == 2


# Writing


def test_a_long_write_goes_out_piece_by_piece(peer: Peer) -> None:
    process = peer.start()
    write = process.write(b"x" * 600_000, close=True)
    sizes = []
    for close in (None, None, True):
        assert waits(write)
        request = peer.answer({"status": "accepted"})
        sizes.append(len(base64.b64decode(request["params"]["chunk"])))
        assert request["params"].get("closeStdin") == close
    assert write.advance()
    write.take()
    assert sum(sizes) == 600_000


def test_a_write_that_is_not_taken_says_so(peer: Peer) -> None:
    process = peer.start()
    write = process.write(b"x")
    peer.answer({"status": "stdinClosed"})
    assert write.advance()
    with pytest.raises(RpcError) as caught:
        write.take()
    assert caught.value.kind == "stdinClosed"
    closing = process.close_stdin()
    peer.answer({"status": "stdinClosed"})
    closing.take()
    refused = process.write(b"x")
    peer.refuse(-32000, "server busy")
    assert refused.advance()
    with pytest.raises(RpcError, match="busy"):
        refused.take()


def test_a_cancelled_write_sends_no_more(peer: Peer) -> None:
    process = peer.start()
    write = process.write(b"x" * 600_000)
    write.cancel()
    peer.answer({"status": "accepted"})
    assert peer.heard() == []


# Following


def drain(subscription: Subscription) -> list[object]:
    events: list[object] = []
    while subscription.advance():
        try:
            events.append(subscription.take())
        except Finished:
            break
    return events


def test_what_a_flood_sends_before_anybody_subscribes_is_kept_and_not_asked_for_again(peer: Peer) -> None:
    chunk = "AAAA" * (16 << 10)  # 48 KiB
    process = peer.start()
    for seq in range(1, 21):
        peer.output(seq, chunk)
    events = drain(process.subscribe())
    assert [getattr(event, "seq", None) for event in events] == list(range(1, 21))
    assert peer.heard() == []


def test_output_pushed_before_the_start_is_answered_is_kept(plain_peer: Peer) -> None:
    call = begin_start(plain_peer.core, ["x"], {"process_id": "p"})
    plain_peer.output(1)
    plain_peer.exited(2)
    plain_peer.answer({"processId": "p"})
    events = call.take().subscribe()
    plain_peer.closed(3)
    assert drain(events) == [Output(1, "stdout", b"hi"), Exited(2, 7), Closed(3)]
    assert plain_peer.heard() == []


def test_what_is_late_is_given_a_moment_with_a_server_that_may_reorder(plain_peer: Peer) -> None:
    process = plain_peer.start()
    events = process.subscribe()
    plain_peer.output(2)
    assert waits(events)
    assert (events.patience, plain_peer.heard()) == (REORDER_SECONDS, [])
    events.expire()
    assert events.patience is None
    events.expire()  # one read at a time
    assert plain_peer.answer(page(1, 2, next_seq=3))["params"]["afterSeq"] == 0
    assert [event.seq for event in drain(events)] == [1, 2]  # type: ignore[attr-defined]


def test_what_is_missing_from_our_own_server_is_read_at_once(peer: Peer) -> None:
    process = peer.start()
    events = process.subscribe()
    peer.output(2)
    assert waits(events)
    assert [request["method"] for request in peer.heard()] == ["process/read"]


def test_silence_is_asked_about_ever_more_rarely(peer: Peer) -> None:
    process = peer.start()
    events = process.subscribe()
    assert waits(events)
    assert events.patience == IDLE_SECONDS
    events.expire()
    request = peer.answer(page(next_seq=1))
    assert request["params"]["waitMs"] > 0
    assert waits(events)
    assert events.patience == 2 * IDLE_SECONDS
    peer.output(1)
    drain(events)
    assert events.patience == IDLE_SECONDS


def test_where_pushes_are_lost_the_next_question_comes_promptly(peer: Peer) -> None:
    process = peer.start()
    events, watch = process.subscribe(), process.watch()
    for asked, patience in ((events, PROMPT_SECONDS), (watch, 2 * IDLE_SECONDS)):
        assert waits(asked)
        asked.expire()
        peer.answer(page(1, next_seq=2))
        assert len(drain(events)) == (asked is events)
        assert asked.patience == patience


def test_only_some_of_the_silent_wait_at_the_server(peer: Peer) -> None:
    watches = [peer.start(str(number)).watch() for number in range(20)]
    for watch in watches:
        watch.expire()
    assert sum("waitMs" in request["params"] for request in peer.heard()) == 16


def test_who_is_gone_gives_the_place_of_its_long_poll_to_others(peer: Peer) -> None:
    watches = [peer.start(str(number)).watch() for number in range(16)]
    for watch in watches:
        watch.expire()
    peer.heard()
    del watch, watches
    later = [peer.start(f"later {number}").watch() for number in range(60)]
    asked = []
    for watch in later:
        watch.expire()
        asked += peer.heard()
    assert sum("waitMs" in request["params"] for request in asked) == 16


def test_long_polls_of_who_is_gone_do_not_fill_the_server(peer: Peer) -> None:
    for _ in range(100):
        peer.start().watch().expire()
        (request,) = peer.heard()
        peer.say(method="process/closed", params={"processId": "p", "seq": 1})
    assert "waitMs" not in request["params"]
    assert peer.core.long_polls == 64


def test_a_busy_server_is_asked_again(peer: Peer) -> None:
    process = peer.start()
    events = process.subscribe()
    peer.output(2)
    assert waits(events)
    peer.refuse(-32000, "server busy")
    assert waits(events)
    assert (events.patience, peer.heard()) == (FRUITLESS_SECONDS, [])
    events.expire()
    peer.answer(page(1, 2, next_seq=3))
    assert len(drain(events)) == 2


def test_a_process_that_the_server_forgot_is_an_error_unless_its_end_is_known(peer: Peer) -> None:
    process = peer.start()
    events, late = process.subscribe(), process.subscribe()
    peer.output(2)
    assert waits(events)
    peer.refuse(-32600, "unknown process id p", kind="unknownProcess")
    with pytest.raises(RpcError, match="unknown process"):
        assert not drain(events)
    peer.exited(3)
    peer.closed(4)
    assert waits(late)
    peer.refuse(-32600, "unknown process id p", kind="unknownProcess")
    assert [type(event).__name__ for event in drain(late)] == ["Lost", "Output", "Exited", "Closed"]


def test_an_answer_for_a_subscription_that_is_gone_is_ignored(peer: Peer) -> None:
    process = peer.start()
    events = process.subscribe()
    peer.output(2)
    assert waits(events)
    del events
    peer.answer(page(1, 2, next_seq=3))
    assert peer.core.disconnected is None
    peer.output(3)
    assert process.process_id == "p"


def test_a_lost_exit_is_found_by_asking(peer: Peer) -> None:
    process = peer.start()
    watch = process.watch()
    assert waits(watch)
    watch.expire()
    watch.expire()
    peer.answer(page(next_seq=3, exited=True, exitCode=7, exitSeq=2, closed=True, closedSeq=3))
    assert watch.take() == Exited(2, 7)
    assert process.watch(closed=True).take() == Exited(2, 7)


def test_a_lost_exit_without_a_position_is_found_as_well(plain_peer: Peer) -> None:
    process = plain_peer.start()
    watch = process.watch(closed=True)
    plain_peer.closed(3)
    assert waits(watch)
    watch.expire()
    plain_peer.answer(page(next_seq=4, exited=True, exitCode=7, closed=True))
    assert watch.take() == Exited(2, 7)


def test_a_wait_for_a_process_that_the_server_forgot_is_an_error(peer: Peer) -> None:
    process = peer.start()
    watch = process.watch()
    watch.expire()
    peer.refuse(-32600, "unknown process id p", kind="unknownProcess")
    assert watch.advance()
    with pytest.raises(RpcError, match="unknown"):
        watch.take()


# A whole run


def begin_run(peer: Peer, clock: Callable[[], float] = lambda: 0.0, **options: Any) -> Run:
    defaults: dict[str, Any] = {"began": clock(), "data": None, "timeout": None, "max_output": None, "drain": 0.5}
    return Run(peer.start(), clock, **defaults | options)


@pytest.mark.parametrize(("seconds", "timed_out"), [(4.9, False), (5.0, True)])
def test_a_timeout_of_the_server_is_known_by_the_time_when_the_exit_was_not_pushed(
    peer: Peer, seconds: float, timed_out: bool
) -> None:
    now = 0.0
    run = begin_run(peer, lambda: now, timeout=5)
    assert waits(run)
    run.expire()
    now = seconds
    peer.answer(page(next_seq=3, exited=True, exitCode=0, exitSeq=1, closed=True, closedSeq=2))
    assert run.advance()
    result = run.take()
    assert (result.reason, result.timed_out) == (None, timed_out)


def test_the_time_of_a_run_counts_from_its_request_and_not_from_the_answer(peer: Peer) -> None:
    now = 3.0  # the answer took long
    run = begin_run(peer, lambda: now, began=0.0, timeout=5)
    assert waits(run)
    run.expire()
    now = 5.0
    peer.answer(page(next_seq=3, exited=True, exitCode=0, exitSeq=1, closed=True, closedSeq=2))
    assert run.advance()
    assert run.take().timed_out


def test_a_timeout_that_the_client_keeps_is_its_own_to_know(plain_peer: Peer) -> None:
    now = 0.0
    run = begin_run(plain_peer, lambda: now, timeout=5)
    assert waits(run)
    now = 6.0
    plain_peer.exited(1)  # by itself: nobody has ended it
    plain_peer.closed(2)
    assert run.advance()
    assert not run.take().timed_out


def test_a_close_below_the_exit_ends_the_connection(peer: Peer) -> None:
    run = begin_run(peer)
    peer.output(1)
    peer.exited(2)
    assert waits(run)
    peer.closed(1)
    assert run.advance()
    with pytest.raises(ProtocolError, match="closed has the number 1, and exited 2"):
        run.take()


def test_an_exit_behind_the_close_ends_the_connection(peer: Peer) -> None:
    process = peer.start()
    peer.closed(1)
    peer.exited(2)
    assert "nonsense" in str(peer.core.disconnected)
    assert process.process_id == "p"


def test_a_close_below_the_output_ends_the_run_of_what_exited(peer: Peer) -> None:
    run = begin_run(peer)
    peer.output(1)
    peer.exited(2)
    peer.output(3)
    peer.output(4)
    assert waits(run)
    peer.closed(3)
    assert run.advance()
    result = run.take()
    assert (result.exit_code, result.stdout, result.complete) == (7, b"hihihi", False)


def test_a_close_without_an_exit_is_an_error_of_the_run(peer: Peer) -> None:
    run = begin_run(peer)
    peer.closed(1)
    assert run.advance()
    with pytest.raises(RpcError, match="process p closed, and the server does not say how it exited"):
        run.take()


# Pausing


def flooded(peer: Peer) -> tuple[ProcessCore, Subscription]:
    process = peer.start()
    events = process.subscribe()
    chunk = "aaaa" * 30_000
    for seq in range(1, 8):
        peer.output(seq, chunk)
    assert peer.core.laggards
    return process, events


def test_reading_pauses_for_a_consumer_that_is_behind(peer: Peer) -> None:
    process, events = flooded(peer)
    pause = Pause(peer.core)
    woken = []
    with peer.core.parking.park(pause, lambda: woken.append(1)):
        assert woken == []
        assert waits(pause)
        for _ in range(3):
            events.take()
    assert woken
    assert pause.advance()
    pause.take()
    assert process.process_id == "p"


def test_reading_does_not_pause_while_an_answer_is_awaited(peer: Peer) -> None:
    kept = flooded(peer)
    pause = Pause(peer.core)
    woken = []
    with peer.core.parking.park(pause, lambda: woken.append(1)):
        assert waits(pause)
        call = peer.core.call("a", {})
        with peer.core.parking.park(call, lambda: None):
            assert woken
        assert pause.advance()
    assert kept


def test_reading_does_not_pause_while_somebody_waits_for_room(peer: Peer) -> None:
    kept = flooded(peer)
    with peer.core.parking.park(Room(peer.core), lambda: None):
        assert Pause(peer.core).advance()
    assert kept


def test_who_follows_pushes_takes_turns_with_who_is_behind(peer: Peer) -> None:
    process, events = flooded(peer)
    watch = process.watch()
    watch.expire()  # its own read is no answer that anybody awaits
    pause = Pause(peer.core)
    woken = []
    with peer.core.parking.park(pause, lambda: woken.append(1)):
        assert waits(pause)
        assert pause.patience == STALL_SECONDS
        with peer.core.parking.park(events, lambda: None):  # is served: it has not run yet
            assert waits(pause)
            assert pause.patience == STALL_SECONDS
        woken.clear()
        with peer.core.parking.park(watch, lambda: None):
            assert woken
            assert waits(pause)
        assert pause.patience == TURN_SECONDS
        woken.clear()
        with peer.core.parking.park(process.watch(), lambda: None):
            assert not woken  # who comes and goes does not prolong it
        pause.expire()
        assert pause.advance()


def test_who_follows_pushes_is_not_delayed_for_ever_by_who_has_stopped(peer: Peer) -> None:
    process, _ = kept = flooded(peer)
    turns = 0
    with peer.core.parking.park(process.watch(), lambda: None):
        while peer.core.laggards:
            pause = Pause(peer.core)
            assert waits(pause)
            pause.expire()
            turns += 1
    assert turns * TURN_SECONDS <= STALL_SECONDS + TURN_SECONDS
    assert kept


def test_a_consumer_at_work_does_not_keep_alive_the_wait_for_one_that_has_stopped(peer: Peer) -> None:
    process = peer.start()
    busy, stopped = process.subscribe(), process.subscribe()
    for seq in range(1, 9):
        peer.output(seq, "aaaa" * 30_000)
    pause = Pause(peer.core)
    busy.take()
    pause.expire()
    assert (busy in peer.core.laggards, stopped in peer.core.laggards) == (True, False)
    peer.output(9, "aaaa" * 10_000)  # and there is room for it
    assert stopped not in peer.core.laggards
    stopped.take()
    assert stopped in peer.core.laggards


def test_a_consumer_that_has_caught_up_is_not_waited_for(peer: Peer) -> None:
    kept, events = flooded(peer)
    for _ in range(3):
        events.take()
    assert not peer.core.laggards
    assert kept


def test_nobody_waits_for_a_consumer_who_waits_for_the_wire(peer: Peer) -> None:
    process = peer.start()
    events = process.subscribe()
    for seq in range(2, 8):  # the first is missing
        peer.output(seq, "aaaa" * 30_000)
    assert waits(events)
    assert not peer.core.laggards
    pause = Pause(peer.core)
    assert pause.advance()
    peer.output(1)
    assert peer.core.laggards
    events.take()
    with peer.core.parking.park(pause, lambda: None):
        assert waits(pause)


def test_the_wait_for_another_is_not_held_against_who_waits_for_the_wire(peer: Peer) -> None:
    process, _ = kept = flooded(peer)
    waiting = process.subscribe(7)
    for seq in range(9, 15):  # the eighth is missing
        peer.output(seq, "aaaa" * 30_000)
    pause = Pause(peer.core)
    assert waits(pause)
    pause.expire()
    peer.output(8)
    assert waiting in peer.core.laggards
    assert kept


def test_who_begins_to_wait_for_the_wire_is_not_waited_for(peer: Peer) -> None:
    process = peer.start()
    events = process.subscribe()
    for seq in (1, *range(3, 9)):
        peer.output(seq, "aaaa" * 30_000)
    pause = Pause(peer.core)
    woken = []
    with (
        peer.core.parking.park(pause, lambda: woken.append(1)),
        peer.core.parking.park(process.watch(), lambda: None),
    ):
        assert waits(pause)
        woken.clear()
        events.take()
        assert waits(events)
        with peer.core.parking.park(events, lambda: None):
            assert woken
        assert pause.advance()


def test_a_consumer_that_takes_nothing_is_not_waited_for_again(peer: Peer) -> None:
    process, events = flooded(peer)
    pause = Pause(peer.core)
    events.take()
    assert waits(pause)
    assert pause.patience == STALL_SECONDS
    pause.expire()
    assert waits(pause)
    pause.expire()
    assert pause.advance()
    assert not peer.core.laggards
    assert process.process_id == "p"


def test_a_lossless_connection_waits_without_end() -> None:
    peer = Peer(lossless=True).greet()
    process, events = flooded(peer)
    pause = Pause(peer.core)
    for _ in range(3):
        pause.expire()
    assert waits(pause)
    peer.core.close()
    assert pause.advance()
    assert (process.process_id, events.last_seq) == ("p", 0)


def test_a_reader_in_another_thread_hands_over_although_others_wait(peer: Peer) -> None:
    process, _ = kept = flooded(peer)
    pause = Pause(peer.core, threads=True)
    peer.core.call("a", {})
    assert waits(pause)
    assert pause.patience == HAND_OVER_SECONDS
    pause.expire()
    assert pause.advance()
    assert (process.process_id, bool(kept)) == ("p", True)
