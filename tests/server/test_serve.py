"""The reader, and the end of a session: what ends it, in which order, and how soon."""

import json
import signal
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from execserver.server.limits import Limits
from execserver.server.serve import (
    ANSWERS_BYTES,
    BEHIND_SECONDS,
    END_SECONDS,
    PROCESS_SECONDS,
    REQUEST_SECONDS,
    SHUTDOWN_GRACE_SECONDS,
    STALL_SECONDS,
    UNREAD_SECONDS,
)
from execserver.wire.errors import INVALID_REQUEST, PARSE_ERROR, SERVER_ERROR
from tests.support.fake_child import FakeChild
from tests.support.peer import Peer, Refused

TERM, KILL, CONT = signal.SIGTERM, signal.SIGKILL, signal.SIGCONT
STUBBORN = (TERM, signal.SIGHUP, signal.SIGINT)
PROMISED_SECONDS = 5.0


async def ended_after(peer: Peer) -> float:
    """How long the end took; it must be less than the wire allows."""
    began = trio.current_time()
    with trio.fail_after(PROMISED_SECONDS):
        await peer.ended.wait()
    return trio.current_time() - began


# The reader.


async def test_lines_are_served_however_they_arrive(peer: Peer, autojump_clock: MockClock) -> None:
    for byte in b'{"id":"a","method":"ping"}\r\n\n \n{"id":"b","method":"ping"}\n':
        peer.wire.send(bytes([byte]))
        await wait_all_tasks_blocked()
    assert [line["id"] for line in peer.lines()[1:]] == ["a", "b"]


async def test_a_last_line_without_its_end_is_answered(peer: Peer, autojump_clock: MockClock) -> None:
    peer.wire.send(b'{"id":"last","method":"ping"}')
    await wait_all_tasks_blocked()
    assert len(peer.lines()) == 1
    peer.wire.end_input()
    await peer.ended.wait()
    assert peer.lines()[-1] == {"id": "last", "result": {}}


async def test_a_whole_handshake_may_come_at_once_with_the_end(autojump_clock: MockClock) -> None:
    peer = Peer()
    peer.wire.send(
        b'{"id":1,"method":"initialize","params":{"clientName":"t"}}\n{"method":"initialized"}\n'
        b'{"id":2,"method":"process/start","params":{"processId":"p","argv":["x"]}}'
    )
    peer.wire.end_input()
    await peer.serve()
    assert [line["id"] for line in peer.lines()[:2]] == [1, 2]
    assert peer.events("p") == [(1, 143, "shutdown"), (2, "endOfFile")]


async def test_answers_to_what_came_together_leave_together(peer: Peer, autojump_clock: MockClock) -> None:
    before = len(peer.wire.writes)
    peer.wire.send(b'{"id":1,"method":"ping"}\n' * 10)
    await wait_all_tasks_blocked()
    assert len(peer.wire.writes) == before + 1
    assert peer.wire.writes[-1].count(b"\n") == 10


async def test_the_next_spawn_is_prepared_behind_the_answer_to_the_last(peer: Peer, autojump_clock: MockClock) -> None:
    await peer.start("p")
    assert peer.prepared == len(peer.wire.output)


async def test_what_a_child_says_at_once_to_what_it_is_fed_leaves_with_the_answer(
    peer: Peer, autojump_clock: MockClock
) -> None:
    child = await peer.start("p", pipeStdin=True)
    child.echoes = True
    await wait_all_tasks_blocked()
    before = len(peer.wire.writes)
    for data in (b"one", b"two"):
        peer.send_write("p", data)
    await wait_all_tasks_blocked()
    (write,) = peer.wire.writes[before:]
    assert [b"accepted" in line for line in write.splitlines()] == [True, True, False]
    assert peer.events("p") == [(1, "stdout", b"onetwo")]


async def test_requests_that_take_long_to_begin_let_others_run_in_between(
    peer: Peer, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("execserver.server.serve.TURN_SECONDS", -1.0)  # each takes longer
    before = len(peer.wire.writes)
    peer.wire.send(b'{"id":1,"method":"ping"}\n' * 10)
    await wait_all_tasks_blocked()
    assert [write.count(b"\n") for write in peer.wire.writes[before:]] == [1] * 10


async def test_the_answers_of_a_turn_leave_with_what_others_say_behind_it(
    peer: Peer, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("execserver.server.serve.TURN_SECONDS", -1.0)
    child = await peer.start("p")
    written: list[list[bool]] = []
    while [False, True] not in written:  # sooner or later: who comes first in a pass is chance
        await wait_all_tasks_blocked()
        before = len(peer.wire.writes)
        child.says(b"output")
        peer.wire.send(b'{"id":1,"method":"ping"}\n' * 2)
        await wait_all_tasks_blocked()
        written = [[b"process/output" in line for line in write.splitlines()] for write in peer.wire.writes[before:]]
        assert sum(map(len, written)) == 3


async def test_an_answer_does_not_wait_for_a_start_that_may_take_long(
    peer: Peer, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("execserver.server.serve.TURN_SECONDS", -1.0)
    peer.expect_starts(2)
    starts = [{"id": name, "method": "process/start", "params": {"processId": name, "argv": ["x"]}} for name in "ab"]
    peer.wire.send(b"".join(json.dumps(start).encode() + b"\n" for start in starts))
    await wait_all_tasks_blocked()
    assert b'"id":"a"' in peer.wire.output[: peer.written_at_spawns[1]]


async def test_the_answers_of_a_turn_leave_although_the_reader_is_stopped(
    peer: Peer, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("execserver.server.serve.TURN_SECONDS", -1.0)
    peer.wire.send(b'{"id":11,"method":"shutdown"}\n{"id":12,"method":"ping"}\n')
    await peer.ended.wait()
    assert [line["id"] for line in peer.lines() if "result" in line][-1] == 11


@pytest.mark.parametrize(
    ("ends_at_once", "longest", "in_one_turn"), [(True, 1000.0, True), (True, -1.0, False), (False, 1000.0, False)]
)
async def test_starts_go_on_while_what_was_started_is_over_already(
    peer: Peer,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    ends_at_once: bool,
    longest: float,
    in_one_turn: bool,
) -> None:
    monkeypatch.setattr("execserver.server.serve.TURN_SECONDS", -1.0)  # each start takes longer
    monkeypatch.setattr("execserver.server.serve.STARTING_SECONDS", longest)
    for child in peer.expect_starts(10):
        if ends_at_once:
            child.exits()
    before = len(peer.wire.writes)
    starts = [
        {"id": id, "method": "process/start", "params": {"processId": f"p{id}", "argv": ["x"]}} for id in range(10)
    ]
    peer.wire.send(b"".join(json.dumps(start).encode() + b"\n" for start in starts))
    await wait_all_tasks_blocked()
    answers = [write.count(b'"result"') for write in peer.wire.writes[before:] if b'"result"' in write]
    assert answers == [10] if in_one_turn else max(answers) == 1


async def test_an_oversized_line_is_refused_and_the_next_is_served(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    peer = Peer(Limits(max_line_bytes=100))
    nursery.start_soon(peer.serve)
    await peer.shake_hands()
    peer.wire.send(b"x" * 101 + b"\n")
    assert await peer.call("ping") == {}
    assert [line["error"]["code"] for line in peer.lines() if line["id"] is None] == [INVALID_REQUEST]


async def test_garbage_is_answered_and_the_next_is_served(peer: Peer, autojump_clock: MockClock) -> None:
    peer.wire.send(b'\xff\n{"method":5,x\n[1,\n')
    assert await peer.call("ping") == {}
    assert [line["error"]["code"] for line in peer.lines() if line["id"] is None] == [PARSE_ERROR] * 3


async def test_a_client_that_reads_no_answers_is_read_no_further(peer: Peer, autojump_clock: MockClock) -> None:
    answer = len(peer.wire.output)  # of initialize, a large one, is not repeatable; the list is
    peer.wire.room = 0
    await peer.start_unanswered("p", metadata={"large": "x" * 100_000})
    asked = 3 * ANSWERS_BYTES // 100_000
    peer.wire.send(b"".join(b'{"id":"%d","method":"process/list"}\n' % number for number in range(asked)))
    peer.send("process/terminate", processId="p")
    await trio.sleep(60)
    assert peer.children["p"].signals == []  # it was not begun
    assert len(peer.wire.output) == answer
    peer.wire.read(None)
    await peer.closed("p")
    listed = [line["id"] for line in peer.lines() if isinstance(line.get("id"), str)]
    assert listed == [str(number) for number in range(asked)]


async def test_the_limits_are_those_of_the_host(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    peer = Peer(Limits(max_in_flight=1, retain_bytes=3, retain_seconds=5))
    nursery.start_soon(peer.serve)
    await peer.shake_hands()
    child = await peer.start("p")
    for data in (b"ab", b"cd"):
        child.says(data)
        await wait_all_tasks_blocked()
    page = await peer.call("process/read", processId="p")
    assert (page["oldestSeq"], page["droppedBytes"]) == (2, 2)
    peer.send("process/read", processId="p", afterSeq=2, waitMs=1000)
    assert (await peer.refusal("process/read", processId="p")).kind == "serverBusy"
    assert await peer.call("ping") == {}
    await trio.sleep(1)
    child.exits()
    await peer.closed("p")
    await trio.sleep(5.1)
    assert (await peer.call("process/list"))["processes"] == []


# The end.

ENDS: dict[str, Callable[[Peer], object]] = {
    "end of file": lambda peer: peer.wire.end_input(),
    "shutdown": lambda peer: peer.send("shutdown"),
    "a signal": lambda peer: peer.end_session("SIGTERM"),
}


@pytest.mark.parametrize("way", ENDS)
async def test_however_it_ends_every_process_is_stopped_and_reports(
    peer: Peer, autojump_clock: MockClock, way: str
) -> None:
    children = [await peer.start(name) for name in ("a", "b")]
    children[0].says(b"before")
    await wait_all_tasks_blocked()
    ENDS[way](peer)
    assert await ended_after(peer) == 0
    assert peer.events("a") == [(1, "stdout", b"before"), (2, 143, "shutdown"), (3, "endOfFile")]
    assert peer.events("b") == [(1, 143, "shutdown"), (2, "endOfFile")]
    assert len(peer.swept_at) == 1
    if way == "shutdown":
        assert any(line.get("result") == {} for line in peer.lines())


async def test_what_is_sent_after_a_shutdown_is_not_begun(peer: Peer, autojump_clock: MockClock) -> None:
    peer.send("shutdown")
    await wait_all_tasks_blocked()
    peer.send("process/start", processId="p", argv=["x"])
    await peer.ended.wait()
    assert peer.commands == []


async def test_a_client_that_went_ends_the_session_and_its_processes(peer: Peer, autojump_clock: MockClock) -> None:
    child = await peer.start("p", FakeChild(ignores=STUBBORN))
    peer.wire.hang_up()
    assert await ended_after(peer) <= SHUTDOWN_GRACE_SECONDS
    assert [number for _, number in child.signals] == [TERM, CONT, KILL]
    assert child.closed


async def test_a_client_that_went_while_a_child_floods_ends_it_too(peer: Peer, autojump_clock: MockClock) -> None:
    child = await peer.start("p")
    peer.wire.room = 0
    child.source("stdout").flood(b"x" * 1024)
    await trio.sleep(1)
    peer.wire.hang_up()
    assert await ended_after(peer) < 1
    assert child.closed


async def test_stubborn_children_are_killed_in_time_and_report(peer: Peer, autojump_clock: MockClock) -> None:
    child = await peer.start("p", FakeChild(ignores=STUBBORN, descendant_ignores=STUBBORN, escaped=True))
    peer.wire.end_input()
    await ended_after(peer)
    assert peer.events("p") == [(1, 137, "shutdown"), (2, "drainTimeout")]
    assert not child.has_group()


async def test_the_end_comes_in_time_though_nobody_reads(peer: Peer, autojump_clock: MockClock) -> None:
    child = await peer.start("p", FakeChild(ignores=STUBBORN))
    peer.wire.room = 0
    child.source("stdout").flood(b"x" * 65536)
    await trio.sleep(1)
    peer.wire.end_input()
    assert await ended_after(peer) <= PROCESS_SECONDS + STALL_SECONDS
    assert child.closed
    assert KILL in [number for _, number in child.signals]


async def test_a_client_that_reads_slowly_at_the_end_gets_the_rest(peer: Peer, autojump_clock: MockClock) -> None:
    child = await peer.start("p")
    peer.wire.room = 0
    child.says(b"x" * 1000)
    await wait_all_tasks_blocked()
    peer.wire.end_input()
    began = trio.current_time()
    while not peer.ended.is_set() and trio.current_time() < began + END_SECONDS - 0.8:
        peer.wire.read(100)
        await trio.sleep(STALL_SECONDS * 0.9)
    peer.wire.read(None)
    await peer.ended.wait()
    assert trio.current_time() - began < END_SECONDS
    assert peer.events("p")[-1] == (3, "endOfFile")


async def test_a_client_that_reads_too_slowly_at_the_end_is_left_in_time(
    peer: Peer, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    child = await peer.start("p")
    peer.wire.room = 0
    child.says(b"x" * 1000)
    await wait_all_tasks_blocked()
    peer.wire.end_input()

    async def trickle() -> None:
        while True:
            peer.wire.read(1)
            await trio.sleep(0.1)

    nursery.start_soon(trickle)
    assert await ended_after(peer) <= END_SECONDS + 0.1


async def test_the_end_of_input_is_noticed_behind_answers_that_nobody_reads(
    peer: Peer, autojump_clock: MockClock
) -> None:
    peer.wire.room = 0
    await peer.start_unanswered("p", metadata={"large": "x" * 100_000})
    peer.wire.send(b'{"id":"x","method":"process/list"}\n' * (3 * ANSWERS_BYTES // 100_000))
    await trio.sleep(60)
    peer.wire.end_input()
    assert UNREAD_SECONDS < await ended_after(peer) < UNREAD_SECONDS + PROMISED_SECONDS / 2
    assert peer.children["p"].closed


async def test_a_client_that_reads_gets_the_answers_to_all_that_it_sent_before_the_end(
    peer: Peer, autojump_clock: MockClock
) -> None:
    peer.wire.room = 0
    await peer.start_unanswered("p", metadata={"large": "x" * 100_000})
    asked = 5 * ANSWERS_BYTES // 100_000
    peer.wire.send(b"".join(b'{"id":"%d","method":"process/list"}\n' % number for number in range(asked)))
    peer.wire.send(b'{"id":"last","method":"ping"}')
    peer.wire.end_input()
    while not peer.ended.is_set():
        peer.wire.read(2_000_000)
        await trio.sleep(0.1)
    said = [line["id"] for line in peer.lines() if isinstance(line.get("id"), str)]
    assert said == [*(str(number) for number in range(asked)), "last"]


@pytest.mark.parametrize("count", [1, 100_000])
async def test_a_client_that_reads_too_slowly_before_the_end_is_left_in_time(
    peer: Peer, autojump_clock: MockClock, nursery: trio.Nursery, count: int
) -> None:
    peer.wire.room = 0
    await peer.start_unanswered("p", FakeChild(ignores=STUBBORN), metadata={"large": "x" * 100_000})
    peer.wire.send(b'{"id":"x","method":"process/list"}\n' * (100 * ANSWERS_BYTES // 100_000))
    peer.wire.end_input()

    async def trickle() -> None:
        while True:
            peer.wire.read(count)
            await trio.sleep(0.05)

    nursery.start_soon(trickle)
    assert await ended_after(peer) <= END_SECONDS + 0.3  # the end of input is looked for at intervals
    assert peer.children["p"].closed


async def test_a_request_in_flight_is_answered_if_the_end_answers_it(peer: Peer, autojump_clock: MockClock) -> None:
    await peer.start("p")
    poll = peer.send("process/read", processId="p", waitMs=60_000)
    await wait_all_tasks_blocked()
    peer.wire.end_input()
    await peer.ended.wait()
    assert (await peer.answer(poll))["exited"]


async def test_a_request_in_flight_that_nothing_answers_is_given_up(peer: Peer, autojump_clock: MockClock) -> None:
    await peer.start("p", FakeChild(uninterruptible=True))
    poll = peer.send("process/read", processId="p", waitMs=60_000)
    await wait_all_tasks_blocked()
    peer.wire.end_input()
    assert await ended_after(peer) == PROCESS_SECONDS > REQUEST_SECONDS
    with pytest.raises(Refused) as refused:
        await peer.answer(poll)
    assert (refused.value.code, refused.value.kind) == (SERVER_ERROR, "sessionEnded")


async def test_a_write_that_the_child_has_not_taken_is_answered_if_the_end_answers_it(
    peer: Peer, autojump_clock: MockClock
) -> None:
    child = await peer.start("p", pipeStdin=True)
    child.appetite = 0
    writes = [peer.send_write("p", b"x") for _ in range(2)]
    await wait_all_tasks_blocked()
    peer.wire.end_input()
    assert await ended_after(peer) == 0
    assert [(await peer.answer(write))["status"] for write in writes] == ["stdinClosed"] * 2


async def test_a_write_that_nothing_answers_is_given_up_and_answered_once(
    peer: Peer, autojump_clock: MockClock
) -> None:
    child = await peer.start("p", FakeChild(uninterruptible=True), pipeStdin=True)
    child.appetite = 0
    writes = [peer.send_write("p", b"x") for _ in range(2)]
    await wait_all_tasks_blocked()
    peer.wire.end_input()
    assert await ended_after(peer) == PROCESS_SECONDS > REQUEST_SECONDS
    for write in writes:
        with pytest.raises(Refused) as refused:
            await peer.answer(write)
        assert (refused.value.code, refused.value.kind) == (SERVER_ERROR, "sessionEnded")
        assert [line.get("id") for line in peer.lines()].count(write) == 1


async def test_the_end_waits_for_a_write_as_long_as_the_child_may_take_it(
    peer: Peer, autojump_clock: MockClock
) -> None:
    child = await peer.start("p", FakeChild(ignores=STUBBORN), pipeStdin=True)
    child.appetite = 0
    write = peer.send_write("p", b"x")
    await wait_all_tasks_blocked()
    peer.wire.end_input()
    await trio.sleep(SHUTDOWN_GRACE_SECONDS / 2)
    child.eats(1)
    assert (await peer.answer(write))["status"] == "accepted"
    await peer.ended.wait()


async def test_the_sweep_comes_when_all_processes_have_ended(peer: Peer, autojump_clock: MockClock) -> None:
    await peer.start("p", FakeChild(ignores=STUBBORN))
    began = trio.current_time()
    peer.wire.end_input()
    await peer.ended.wait()
    assert peer.swept_at == [began + SHUTDOWN_GRACE_SECONDS]


def test_the_deadlines_of_the_end_are_within_its_5_seconds() -> None:
    from execserver.server import files, http_client
    from execserver.server.daemon import SWEEP_SECONDS

    closing = max(files.CLOSE_SECONDS, http_client.CLOSE_SECONDS)
    stalled = max(PROCESS_SECONDS, REQUEST_SECONDS + closing) + SWEEP_SECONDS + STALL_SECONDS
    assert stalled <= END_SECONDS <= PROMISED_SECONDS - 0.5
    # with requests behind answers the last flush has what is left of the time
    late = BEHIND_SECONDS + max(PROCESS_SECONDS, REQUEST_SECONDS + closing) + SWEEP_SECONDS
    assert late <= PROMISED_SECONDS - 0.3


async def test_every_line_that_leaves_is_json(peer: Peer, autojump_clock: MockClock) -> None:
    child = await peer.start("p\n\u2028\u00e9")
    child.says(bytes(range(256)))
    await wait_all_tasks_blocked()
    peer.wire.end_input()
    await peer.ended.wait()
    for line in peer.wire.output.split(b"\n")[:-1]:
        assert json.loads(line)["jsonrpc"] == "2.0"
