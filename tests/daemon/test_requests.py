"""Ids, notifications, strays, the order of work and how much of it at once: protocol, section 1."""

import base64
import json

import pytest

from tests.daemon.launching import launch
from tests.daemon.wire_client import Client


async def test_ids_come_back_with_the_same_type_and_value(client: Client) -> None:
    for request_id in (0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1, "", "1", "a b", "ü", "x" * 5000):
        await client.send({"jsonrpc": "2.0", "id": request_id, "method": "ping"})
        assert (await client.answer(request_id))["result"] == {}


async def test_integers_beyond_64_bits_are_ids_too(client: Client) -> None:
    for request_id in (2**64, -(2**63) - 1, 10**30):
        await client.send({"jsonrpc": "2.0", "id": request_id, "method": "ping"})
        assert (await client.answer(request_id))["result"] == {}


async def test_the_number_1_and_the_string_1_are_two_ids(client: Client) -> None:
    await client.send({"id": 1_000_001, "method": "ping"}, {"id": "1000001", "method": "no/such/method"})
    assert "result" in await client.answer(1_000_001)
    assert "error" in await client.answer("1000001")


@pytest.mark.parametrize("text", ["1.0", "1e0", "1.5", "-0.0", "1E2"])
async def test_an_id_written_as_a_fraction_is_refused(client: Client, text: str) -> None:
    await client.send_bytes(b'{"jsonrpc":"2.0","id":' + text.encode() + b',"method":"ping"}\n')
    assert (await client.answer_to_nobody())["error"]["code"] == -32600


async def test_the_version_member_may_be_missing(client: Client) -> None:
    await client.send({"id": "bare", "method": "ping", "params": {}})
    answer = await client.answer("bare")
    assert (answer["jsonrpc"], answer["result"]) == ("2.0", {})


async def test_an_unknown_method_is_told_from_a_known_one(client: Client) -> None:
    for method in ("no/such", "", "process", "process/", "Process/start", "process/start ", "__class__", "initialized"):
        error = await client.refused(method)
        assert error.code == -32601, method


async def test_notifications_are_never_answered_not_even_with_an_error(client: Client) -> None:
    await client.send(
        {"jsonrpc": "2.0", "method": "no/such/method"},
        {"jsonrpc": "2.0", "method": "ping"},
        {"jsonrpc": "2.0", "method": "process/start", "params": {"processId": 1}},
        {"jsonrpc": "2.0", "method": "process/read", "params": {"processId": "nobody"}},
        {"jsonrpc": "2.0", "method": "initialize", "params": {}},
        {"jsonrpc": "2.0", "method": "initialized", "params": "nonsense"},
        {"method": "process/write", "params": None},
    )
    before = len(client.messages)
    await client.ping()
    assert len(client.messages) == before + 1, client.messages[before:]


async def test_stray_responses_are_ignored(client: Client) -> None:
    await client.send(
        {"jsonrpc": "2.0", "id": 4711, "result": {}},
        {"jsonrpc": "2.0", "id": 4712, "error": {"code": -1, "message": "no"}},
        {"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "no"}},
        {"id": "x", "result": None},
    )
    before = len(client.messages)
    await client.ping()
    assert len(client.messages) == before + 1, client.messages[before:]


async def test_requests_are_begun_in_the_order_of_their_lines(client: Client) -> None:
    await client.start("p", ["cat"], pipeStdin=True)
    lines = [b"%d\n" % n for n in range(500)]
    await client.send(
        *(
            {
                "id": f"w{n}",
                "method": "process/write",
                "params": {"processId": "p", "chunk": base64.b64encode(line).decode()},
            }
            for n, line in enumerate(lines)
        ),
        {"id": "end", "method": "process/write", "params": {"processId": "p", "chunk": "", "closeStdin": True}},
    )
    life = await client.until_closed("p")
    busy = [n for n in range(500) if "error" in await client.answer(f"w{n}")]
    assert not busy, "a write that the pipe takes at once is not in flight"
    assert life.stdout == b"".join(lines)


async def test_pipelined_start_write_and_terminate_meet_the_same_process(client: Client) -> None:
    for n in range(20):
        name = f"p{n}"
        await client.send(
            {
                "id": f"s{n}",
                "method": "process/start",
                "params": {"processId": name, "argv": ["cat"], "pipeStdin": True},
            },
            {
                "id": f"w{n}",
                "method": "process/write",
                "params": {"processId": name, "chunk": base64.b64encode(b"hello").decode(), "closeStdin": True},
            },
            {"id": f"r{n}", "method": "process/read", "params": {"processId": name, "waitMs": 20_000}},
        )
        assert "result" in await client.answer(f"s{n}")
        assert (await client.answer(f"w{n}"))["result"] == {"status": "accepted"}
        assert "result" in await client.answer(f"r{n}")
        assert (await client.until_closed(name)).stdout == b"hello"


async def test_the_answer_to_start_precedes_every_notification_of_the_process(client: Client) -> None:
    for n in range(50):
        await client.send(
            {"id": f"s{n}", "method": "process/start", "params": {"processId": f"p{n}", "argv": ["true"]}}
        )
    for n in range(50):
        await client.until_closed(f"p{n}")
        where = [
            index
            for index, message in enumerate(client.messages)
            if message.get("id") == f"s{n}" or message.get("params", {}).get("processId") == f"p{n}"
        ]
        assert client.messages[where[0]].get("id") == f"s{n}"


async def test_a_long_poll_delays_nobody(client: Client) -> None:
    await client.start("p", ["cat"], pipeStdin=True)
    poll = await client.begin("process/read", processId="p", waitMs=60_000)
    await client.ping()
    assert (await client.run("q", ["echo", "beside"])).stdout == b"beside\n"
    assert not client.answered(poll)
    await client.write("p", b"now")
    assert [chunk["chunk"] for chunk in (await client.answer(poll))["result"]["chunks"]] == ["bm93"]
    await client.terminate("p")
    await client.until_closed("p")


async def test_a_write_to_a_child_that_does_not_read_delays_nobody(client: Client) -> None:
    await client.child("deaf", "never_reads.sh", pipeStdin=True)
    await client.until_output("deaf", b"ready\n")
    chunk = base64.b64encode(b"x" * 2**20).decode()
    stuck = [await client.begin("process/write", processId="deaf", chunk=chunk) for _ in range(3)]
    await client.ping()
    assert (await client.run("q", ["cat"], pipeStdin=False)).stdout == b""
    await client.start("other", ["cat"], pipeStdin=True)
    assert await client.write("other", b"heard", closeStdin=True) == "accepted"
    assert (await client.until_closed("other")).stdout == b"heard"
    assert not any(client.answered(request) for request in stuck)
    await client.terminate("deaf")
    await client.until_closed("deaf")
    assert [(await client.answer(request))["result"]["status"] for request in stuck] == ["stdinClosed"] * 3


async def test_a_surplus_request_is_busy_but_ping_signal_and_terminate_pass(client: Client) -> None:
    await client.start("p", ["cat"], pipeStdin=True)
    polls = [await client.begin("process/read", processId="p", waitMs=60_000) for _ in range(256)]
    surplus = await client.refused("process/read", processId="p", waitMs=60_000)
    assert (surplus.code, surplus.kind) == (-32000, "serverBusy")
    assert "server busy" in surplus.message
    assert not any(client.answered(poll) for poll in polls)
    await client.ping()
    assert (await client.request("process/signal", processId="p", signal="CONT"))["delivered"] is True
    assert (await client.terminate("p"))["running"] is True
    await client.until_closed("p")
    for poll in polls:
        assert (await client.answer(poll))["result"]["exited"] is True
    assert (await client.read("p"))["closed"] is True, "there is room again"


async def test_the_limit_of_requests_in_flight_is_an_option() -> None:
    async with launch("--max-in-flight", "2") as client:
        await client.start("p", ["cat"], pipeStdin=True)
        polls = [await client.begin("process/read", processId="p", waitMs=60_000) for _ in range(2)]
        assert (await client.refused("process/read", processId="p", waitMs=60_000)).code == -32000
        await client.ping()
        await client.terminate("p")
        for poll in polls:
            await client.answer(poll)


async def test_a_thousand_pipelined_pings_are_all_answered(client: Client) -> None:
    await client.send(*({"id": f"n{n}", "method": "ping"} for n in range(1000)))
    for n in range(1000):
        assert (await client.answer(f"n{n}"))["result"] == {}


async def test_every_kind_of_request_at_once_gets_one_answer_each(client: Client) -> None:
    kinds = [
        ("ping", {}),
        ("process/list", {}),
        ("process/read", {"processId": "nobody"}),
        ("no/such", {}),
        ("process/start", {"argv": []}),
        ("environment/info", {}),
        ("process/signal", {"processId": "nobody", "signal": "INT"}),
    ]
    await client.send(*({"id": n, "method": kinds[n % 7][0], "params": kinds[n % 7][1]} for n in range(5000, 5700)))
    for n in range(5000, 5700):
        await client.answer(n)


async def test_answers_escape_what_must_be_escaped(client: Client) -> None:
    name = 'new\nline "quoted" \\ and \x7f'
    await client.send_bytes(json.dumps({"id": name, "method": "no/such\nmethod"}).encode() + b"\n")
    assert (await client.answer(name))["error"]["code"] == -32601
