"""The handlers of ``process/*``, as a client sees them."""

import gc
import json
import signal
import weakref
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from execserver.server.log import EventLog
from execserver.server.processes import MAX_ID_LENGTH
from execserver.wire.errors import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, Fault
from tests.support.fake_child import FakeChild
from tests.support.peer import Peer

TERM, KILL, CONT = signal.SIGTERM, signal.SIGKILL, signal.SIGCONT
STUBBORN = (TERM, signal.SIGHUP, signal.SIGINT)


def count_logs() -> int:
    gc.collect()
    return sum(isinstance(one, EventLog) for one in gc.get_objects())


# process/start


async def test_the_answer_to_a_start_is_on_the_wire_before_the_first_event(
    peer: Peer, autojump_clock: MockClock
) -> None:
    child = FakeChild()
    child.says(b"already")
    child.exits()
    await peer.start("p", child)
    await peer.closed("p")
    lines = [line for line in peer.lines() if line.get("params", line.get("result", {})).get("processId") == "p"]
    assert lines[0]["result"] == {"processId": "p", "pid": 4321, "sandboxType": "none"}
    assert [line["method"] for line in lines[1:]] == ["process/output", "process/exited", "process/closed"]


async def test_what_was_asked_for_is_what_is_spawned(peer: Peer, autojump_clock: MockClock) -> None:
    await peer.start(
        "p",
        argv=["make", "-j"],
        arg0="other",
        cwd="file:///a%20b",
        env={"A": "1"},
        pipeStdin=True,
        mergeStderr=True,
    )
    (command,) = peer.commands
    assert (command.argv, command.arg0, command.cwd, command.env) == (["make", "-j"], "other", "/a b", {"A": "1"})
    assert (command.size, command.pipe_stdin, command.merge_stderr) == (None, True, True)


@pytest.mark.parametrize(
    ("params", "size"),
    [
        ({"tty": True}, (24, 80)),
        ({"tty": True, "size": {"rows": 1, "cols": 65535}}, (1, 65535)),
        ({"size": {"rows": 1, "cols": 1}}, None),
    ],
)
async def test_only_a_terminal_has_a_size(
    peer: Peer, autojump_clock: MockClock, params: dict[str, Any], size: Any
) -> None:
    await peer.start("p", FakeChild(tty="tty" in params), **params)
    assert peer.commands[0].size == size


@pytest.mark.parametrize(
    ("params", "code", "kind", "message"),
    [
        ({"argv": []}, INVALID_PARAMS, "invalidParams", "argv must not be empty"),
        ({"argv": "ls"}, INVALID_PARAMS, "invalidParams", "`$.argv`"),
        ({"argv": [1]}, INVALID_PARAMS, "invalidParams", "`$.argv[0]`"),
        ({"argv": None}, INVALID_PARAMS, "invalidParams", "`$.argv`"),
        ({"processId": 1}, INVALID_PARAMS, "invalidParams", "`$.processId`"),
        ({"processId": "x" * (MAX_ID_LENGTH + 1)}, INVALID_PARAMS, "invalidParams", "`$.processId`"),
        ({"cwd": "relative"}, INVALID_PARAMS, "invalidArgument", "`$.cwd`"),
        ({"env": {"A=B": ""}}, INVALID_PARAMS, "invalidArgument", "`$.env`"),
        ({"tty": True, "size": {"rows": 0, "cols": 1}}, INVALID_PARAMS, "invalidParams", "`$.size.rows`"),
        ({"timeoutMs": -1}, INVALID_PARAMS, "invalidParams", "`$.timeoutMs`"),
        ({"timeoutMs": 1.5}, INVALID_PARAMS, "invalidParams", "`$.timeoutMs`"),
        ({"idleTimeoutMs": "1"}, INVALID_PARAMS, "invalidParams", "`$.idleTimeoutMs`"),
        ({"drainMs": True}, INVALID_PARAMS, "invalidParams", "`$.drainMs`"),
        ({"sandbox": {"permissions": {"type": "x"}}}, INVALID_PARAMS, "sandboxUnavailable", "$.sandbox"),
        ({"enforceManagedNetwork": True}, INVALID_PARAMS, "sandboxUnavailable", "$.enforceManagedNetwork"),
        ({"managedNetwork": {}}, INVALID_PARAMS, "sandboxUnavailable", "$.managedNetwork"),
        ({"networkProxy": "p"}, INVALID_PARAMS, "sandboxUnavailable", "$.networkProxy"),
    ],
    ids=lambda value: json.dumps(value)[:40],
)
async def test_a_start_that_is_refused_spawns_nothing_and_takes_no_id(
    peer: Peer, autojump_clock: MockClock, params: dict[str, Any], code: int, kind: str, message: str
) -> None:
    refused = await peer.refusal("process/start", **{"processId": "p", "argv": ["x"]} | params)
    assert (refused.code, refused.kind) == (code, kind)
    assert message in refused.message
    assert peer.commands == []
    assert (await peer.call("process/list"))["processes"] == []


async def test_a_spawn_that_failed_releases_the_id(peer: Peer, autojump_clock: MockClock) -> None:
    with pytest.raises(Exception, match="cannot run") as caught:
        await peer.start("p", Fault(INTERNAL_ERROR, "cannot run x", "programNotFound", errno=2))
    assert getattr(caught.value, "data", None) == {"kind": "programNotFound", "errno": 2}
    await peer.start("p")


async def test_an_id_is_taken_while_its_process_runs_and_while_it_is_retained(
    peer: Peer, autojump_clock: MockClock
) -> None:
    child = await peer.start("p")
    for _ in range(2):
        refused = await peer.refusal("process/start", processId="p", argv=["x"])
        assert (refused.code, refused.kind, refused.message) == (
            INVALID_REQUEST,
            "processExists",
            "process p already exists",
        )
        if child.ended is None:
            child.exits()
            await peer.closed("p")
    await trio.sleep(80.1)
    await peer.start("p")


async def test_a_sandbox_is_refused_before_the_id_is_looked_at(peer: Peer, autojump_clock: MockClock) -> None:
    await peer.start("p")
    refused = await peer.refusal("process/start", processId="p", argv=[], sandbox={})
    assert refused.kind == "sandboxUnavailable"


# process/read


async def test_a_read_pages_through_what_was_said(peer: Peer, autojump_clock: MockClock) -> None:
    child = await peer.start("p")
    for data in (b"one", b"two", b"three"):
        child.says(data)
        await wait_all_tasks_blocked()
    page = await peer.call("process/read", processId="p", maxBytes=7)
    assert [chunk["seq"] for chunk in page["chunks"]] == [1, 2]
    assert page == {
        "chunks": [
            {"seq": 1, "stream": "stdout", "chunk": "b25l"},
            {"seq": 2, "stream": "stdout", "chunk": "dHdv"},
        ],
        "nextSeq": 3,
        "exited": False,
        "exitCode": None,
        "closed": False,
        "failure": None,
        "sandboxDenied": False,
        "oldestSeq": 1,
        "exitSeq": None,
        "closedSeq": None,
        "droppedBytes": 0,
    }
    page = await peer.call("process/read", processId="p", afterSeq=2, maxBytes=0)
    assert ([chunk["seq"] for chunk in page["chunks"]], page["nextSeq"]) == ([3], 4)


async def test_a_long_poll_ends_at_its_deadline(peer: Peer, autojump_clock: MockClock) -> None:
    await peer.start("p")
    began = trio.current_time()
    page = await peer.call("process/read", processId="p", waitMs=5_000)
    assert (page["chunks"], trio.current_time() - began) == ([], 5.0)


async def test_a_read_that_may_not_wait_answers_at_once(peer: Peer, autojump_clock: MockClock) -> None:
    await peer.start("p")
    began = trio.current_time()
    for params in ({}, {"waitMs": 0}, {"waitMs": None}):
        assert (await peer.call("process/read", processId="p", **params))["chunks"] == []
    assert trio.current_time() == began


@pytest.mark.parametrize("happens", ["output", "exit", "close"])
async def test_a_long_poll_ends_with_what_it_waits_for(peer: Peer, autojump_clock: MockClock, happens: str) -> None:
    child = await peer.start("p", FakeChild(escaped=True))
    after = 0
    if happens == "close":
        child.exits()
        after = 1  # an exit that the cursor has passed is no news
    poll = peer.send("process/read", processId="p", afterSeq=after, waitMs=60_000)
    await trio.sleep(7)
    assert all(line.get("id") != poll for line in peer.lines())
    began = trio.current_time()
    if happens == "output":
        child.says(b"x")
    elif happens == "exit":
        child.exits(3)
    else:
        child.last_holder_ends()
    page = await peer.answer(poll)
    assert trio.current_time() == began
    assert (len(page["chunks"]), page["exited"], page["closed"]) == (
        happens == "output",
        happens != "output",
        happens == "close",
    )


async def test_a_long_poll_outlives_the_time_of_retention_with_its_page(peer: Peer, autojump_clock: MockClock) -> None:
    child = await peer.start("p", FakeChild(escaped=True))
    child.exits()
    poll = peer.send("process/read", processId="p", afterSeq=1, waitMs=200_000)
    await trio.sleep(1)
    child.last_holder_ends()
    await peer.answer(poll)
    await trio.sleep(100)
    refused = await peer.refusal("process/read", processId="p")
    assert (refused.code, refused.kind, refused.message) == (
        INVALID_REQUEST,
        "unknownProcess",
        "unknown process id p",
    )


@pytest.mark.parametrize("name", ["afterSeq", "maxBytes", "waitMs"])
@pytest.mark.parametrize("value", [-1, 1.5, "1", True, []])
async def test_a_number_that_is_none_is_refused(peer: Peer, autojump_clock: MockClock, name: str, value: Any) -> None:
    await peer.start("p")
    refused = await peer.refusal("process/read", processId="p", **{name: value})
    assert (refused.code, f"$.{name}" in refused.message) == (INVALID_PARAMS, True)


@pytest.mark.parametrize("value", [2**53 + 1, 2**64 - 1, 10**400])
async def test_no_number_is_too_large(peer: Peer, autojump_clock: MockClock, value: int) -> None:
    child = await peer.start("p", timeoutMs=value, idleTimeoutMs=value, drainMs=value)
    poll = peer.send("process/read", processId="p", afterSeq=0, maxBytes=value, waitMs=value)
    await trio.sleep(50_000)
    child.says(b"late")
    assert len((await peer.answer(poll))["chunks"]) == 1
    assert (await peer.call("process/read", processId="p", afterSeq=value))["chunks"] == []
    await peer.call("process/terminate", processId="p", graceMs=value)
    await peer.closed("p")


# process/write


async def test_writes_reach_the_child_in_the_order_they_were_sent(peer: Peer, autojump_clock: MockClock) -> None:
    child = await peer.start("p", pipeStdin=True)
    child.appetite = 0
    requests = [peer.send_write("p", str(number).encode() * 3) for number in range(5)]
    await wait_all_tasks_blocked()
    child.eats(7)
    assert await peer.answer(requests[1]) == {"status": "accepted"}
    assert all(line.get("id") != requests[2] for line in peer.lines())
    child.eats(100)
    assert [(await peer.answer(request))["status"] for request in requests] == ["accepted"] * 5
    assert child.took == b"000111222333444"


async def test_a_child_that_does_not_read_delays_nobody_else(peer: Peer, autojump_clock: MockClock) -> None:
    stuck = await peer.start("stuck", pipeStdin=True)
    stuck.appetite = 0
    peer.send_write("stuck", b"x")
    other = await peer.start("other", pipeStdin=True)
    assert await peer.write("other", b"y") == "accepted"
    assert other.took == b"y"


async def test_what_cannot_be_written_says_why(peer: Peer, autojump_clock: MockClock) -> None:
    child = await peer.start("p")
    assert await peer.write("unknown", b"x") == "unknownProcess"
    assert await peer.write("p", b"x") == "stdinClosed"
    child.exits()
    await peer.closed("p")
    assert await peer.write("p", b"x") == "stdinClosed"
    assert (await peer.refusal("process/write", processId="p", chunk="%%")).code == INVALID_PARAMS


async def test_stdin_is_closed_behind_the_chunk_that_asks_for_it(peer: Peer, autojump_clock: MockClock) -> None:
    child = await peer.start("p", pipeStdin=True)
    assert await peer.write("p", b"last", closeStdin=True) == "accepted"
    assert (child.took, child.stdin_closed) == (b"last", True)
    assert await peer.write("p", b"more") == "stdinClosed"


# process/signal, process/terminate


@pytest.mark.parametrize(
    ("name", "number"),
    [("interrupt", signal.SIGINT), ("USR1", signal.SIGUSR1), ("SIGUSR1", signal.SIGUSR1), ("SIGRTMIN", 34)],
)
async def test_a_signal_goes_to_the_group(peer: Peer, autojump_clock: MockClock, name: str, number: int) -> None:
    child = await peer.start("p")
    assert await peer.call("process/signal", processId="p", signal=name) == {"delivered": True}
    assert [sent for _, sent in child.signals] == [number]


@pytest.mark.parametrize("name", ["", "9", "sigint", "INTERRUPT", "SIG", "SIGNOPE", "SIG_DFL"])
async def test_an_unknown_signal_is_refused_whoever_it_is_for(peer: Peer, autojump_clock: MockClock, name: str) -> None:
    await peer.start("p")
    for process_id in ("p", "unknown"):
        refused = await peer.refusal("process/signal", processId=process_id, signal=name)
        assert (refused.code, "$.signal" in refused.message) == (INVALID_PARAMS, True)


async def test_a_signal_for_one_that_is_not_there_any_more_is_not_delivered(
    peer: Peer, autojump_clock: MockClock
) -> None:
    child = await peer.start("p", FakeChild(descendant_ignores=STUBBORN))
    child.exits()
    await wait_all_tasks_blocked()
    for process_id in ("p", "unknown"):
        assert await peer.call("process/signal", processId=process_id, signal="INT") == {"delivered": False}
    assert child.signals == []
    await peer.call("process/terminate", processId="p", graceMs=0)


async def test_terminate_answers_at_once_and_the_end_follows(peer: Peer, autojump_clock: MockClock) -> None:
    child = await peer.start("p", FakeChild(ignores=STUBBORN))
    began = trio.current_time()
    assert await peer.call("process/terminate", processId="p") == {"running": True}
    assert trio.current_time() == began
    assert await peer.closed("p") == [(1, 137, "terminated"), (2, "endOfFile")]
    assert [(when - began, number) for when, number in child.signals] == [(0, TERM), (0, CONT), (2, KILL)]
    assert await peer.call("process/terminate", processId="p") == {"running": False}
    assert await peer.call("process/terminate", processId="unknown") == {"running": False}


async def test_the_grace_is_the_clients(peer: Peer, autojump_clock: MockClock) -> None:
    child = await peer.start("p", FakeChild(ignores=STUBBORN))
    began = trio.current_time()
    await peer.call("process/terminate", processId="p", graceMs=250)
    await peer.closed("p")
    assert child.signals[-1] == (began + 0.25, KILL)


async def test_whoever_is_left_of_a_group_is_ended_by_terminate_after_the_close_too(
    peer: Peer, autojump_clock: MockClock
) -> None:
    child = await peer.start("p", FakeChild(descendant_ignores=STUBBORN), drainMs=10)
    child.exits()
    assert (await peer.closed("p"))[-1] == (2, "drainTimeout")
    began = trio.current_time()
    assert await peer.call("process/terminate", processId="p", graceMs=1000) == {"running": False}
    await trio.sleep(5)
    assert [(when - began, number) for when, number in child.signals] == [(0, TERM), (0, CONT), (1, KILL)]
    assert not child.has_group()


# process/resize, process/list, process/release


async def test_a_terminal_that_runs_is_resized(peer: Peer, autojump_clock: MockClock) -> None:
    child = await peer.start("p", FakeChild(tty=True), tty=True)
    assert await peer.call("process/resize", processId="p", size={"rows": 5, "cols": 6}) == {}
    assert child.sizes == [(5, 6)]
    child.exits()
    await peer.closed("p")
    assert await peer.call("process/resize", processId="p", size={"rows": 7, "cols": 8}) == {}
    assert child.sizes == [(5, 6)]


async def test_only_terminals_have_a_size_to_change(peer: Peer, autojump_clock: MockClock) -> None:
    await peer.start("p")
    size = {"rows": 5, "cols": 6}
    refused = await peer.refusal("process/resize", processId="p", size=size)
    assert (refused.code, refused.kind) == (INVALID_PARAMS, "notATerminal")
    refused = await peer.refusal("process/resize", processId="unknown", size=size)
    assert (refused.code, refused.kind) == (INVALID_REQUEST, "unknownProcess")


async def test_the_list_is_of_all_running_and_retained_oldest_first(peer: Peer, autojump_clock: MockClock) -> None:
    first = await peer.start("first", argv=["a", "b"], cwd="/", metadata={"x": [1]})
    await peer.start("second")
    first.says(b"abc")
    first.exits(3)
    await peer.closed("first")
    listed = (await peer.call("process/list"))["processes"]
    assert [(info["processId"], info["state"]) for info in listed] == [("first", "closed"), ("second", "running")]
    started = listed[0].pop("startedAtMs")
    assert isinstance(started, int)
    assert listed[0] == {
        "processId": "first",
        "pid": 4321,
        "argv": ["a", "b"],
        "cwd": "/",
        "tty": False,
        "state": "closed",
        "exitCode": 3,
        "signal": None,
        "nextSeq": 4,
        "retainedBytes": 3,
        "metadata": {"x": [1]},
    }


async def test_a_directory_whose_name_is_not_utf8_does_not_spoil_the_list(
    peer: Peer, autojump_clock: MockClock
) -> None:
    await peer.start("p", cwd="file:///odd%ff")
    assert peer.commands[-1].cwd == "/odd\udcff"
    assert [info["cwd"] for info in (await peer.call("process/list"))["processes"]] == ["/odd\ufffd"]


async def test_who_reads_of_a_close_may_release_the_process_in_the_same_moment(
    peer: Peer, autojump_clock: MockClock
) -> None:
    child = await peer.start("p")
    child.noticed_after = 1
    child.exits()
    began = trio.current_time()
    await peer.closed("p")
    assert await peer.call("process/release", processId="p") == {"released": True}
    assert trio.current_time() == began
    await trio.sleep(2)
    assert child.closed


async def let_go(peer: Peer, reference: "weakref.ref[FakeChild]") -> bool:
    """Say whether nobody holds the child any more, when the test has let go of it."""
    await wait_all_tasks_blocked()
    peer.children.clear()
    gc.collect()
    return reference() is None


async def test_a_closed_process_is_let_go(peer: Peer, autojump_clock: MockClock) -> None:
    child = await peer.start("p")
    await peer.start("newest")  # which is kept, to be asked whether it has ended
    reference = weakref.ref(child)
    child.exits()
    await peer.closed("p")
    del child
    assert await let_go(peer, reference)


async def test_a_closed_process_whose_group_lives_on_is_let_go_when_another_closes_after_that(
    peer: Peer, autojump_clock: MockClock
) -> None:
    leader = await peer.start("leader", FakeChild(descendant_ignores=()))
    other = await peer.start("other")
    reference = weakref.ref(leader)
    leader.closes_its_streams()
    leader.exits()
    await peer.closed("leader")
    leader.descendant_ends()
    other.exits()
    await peer.closed("other")
    del leader
    assert await let_go(peer, reference)


async def test_only_a_closed_process_is_released(peer: Peer, autojump_clock: MockClock) -> None:
    child = await peer.start("p", FakeChild(escaped=True))
    assert await peer.call("process/release", processId="p") == {"released": False}
    child.exits()
    await wait_all_tasks_blocked()
    assert await peer.call("process/release", processId="p") == {"released": False}
    child.last_holder_ends()
    await peer.closed("p")
    assert await peer.call("process/release", processId="p") == {"released": True}
    assert await peer.call("process/release", processId="p") == {"released": False}
    assert (await peer.refusal("process/read", processId="p")).kind == "unknownProcess"
    await peer.start("p")


async def test_what_is_left_of_the_group_of_a_forgotten_process_is_stopped_at_the_end(
    peer: Peer, autojump_clock: MockClock
) -> None:
    child = await peer.start("p", FakeChild(descendant_ignores=STUBBORN), drainMs=10)
    child.exits()
    await peer.closed("p")
    await peer.call("process/release", processId="p")
    assert child.has_group()
    peer.wire.end_input()
    await peer.ended.wait()
    assert [number for _, number in child.signals] == [TERM, CONT, KILL]
    assert not child.has_group()


async def test_a_group_that_lives_on_keeps_nothing_of_the_output_of_a_forgotten_process(
    peer: Peer, autojump_clock: MockClock
) -> None:
    child = await peer.start("p", FakeChild(descendant_ignores=STUBBORN), drainMs=10)
    child.exits()
    await peer.closed("p")
    logs = count_logs()
    await peer.call("process/release", processId="p")
    assert count_logs() == logs - 1
    assert child.has_group()


async def test_the_end_does_not_wait_for_the_kill_of_a_group_that_ended_by_itself(
    peer: Peer, autojump_clock: MockClock
) -> None:
    child = await peer.start("p", FakeChild(descendant_ignores=STUBBORN), drainMs=10)
    await peer.call("process/terminate", processId="p", graceMs=3_600_000)
    await peer.closed("p")
    child.descendant_ends()
    (await peer.start("q")).exits()
    await peer.closed("q")
    began = trio.current_time()
    peer.wire.end_input()
    await peer.ended.wait()
    assert trio.current_time() - began < 0.1


async def test_a_server_whose_directory_was_removed_still_serves(
    autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def removed() -> str:
        raise FileNotFoundError

    monkeypatch.setattr("os.getcwd", removed)
    peer = Peer()
    nursery.start_soon(peer.serve)
    await peer.shake_hands()
    await peer.start("p")
    assert [info["cwd"] for info in (await peer.call("process/list"))["processes"]] == ["/"]


async def test_what_was_fed_keeps_nothing_of_the_output_of_a_forgotten_process(
    peer: Peer, autojump_clock: MockClock
) -> None:
    child = await peer.start("p", pipeStdin=True)
    assert await peer.write("p", b"x") == "accepted"
    child.exits()
    await peer.closed("p")
    logs = count_logs()
    await peer.call("process/release", processId="p")
    assert count_logs() == logs - 1
