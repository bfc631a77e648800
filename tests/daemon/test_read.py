"""process/read: pages, cursors and long polls: protocol, section 4."""

import base64

import pytest

from tests.daemon.life import chunks_of
from tests.daemon.wire_client import Client

SCRIPT = "printf one; read x; printf two >&2; read x; printf three"


async def three_chunks(client: Client) -> None:
    """A process with the events 1 to 5: stdout, stderr, stdout, exited, closed."""
    await client.sh("p", SCRIPT, pipeStdin=True)
    await client.until_output("p", b"one")
    await client.write("p", b"\n")
    await client.until_output("p", b"two")
    await client.write("p", b"\n")
    life = await client.until_closed("p")
    assert [event.seq for event in life.events] == [1, 2, 3, 4, 5]


async def test_a_page_holds_everything_that_was_pushed(client: Client) -> None:
    await three_chunks(client)
    page = await client.read("p")
    assert [(one["seq"], one["stream"], base64.b64decode(one["chunk"])) for one in page["chunks"]] == [
        (1, "stdout", b"one"),
        (2, "stderr", b"two"),
        (3, "stdout", b"three"),
    ]
    del page["chunks"]
    assert page == {
        "nextSeq": 6,
        "exited": True,
        "exitCode": 0,
        "closed": True,
        "failure": None,
        "sandboxDenied": False,
        "oldestSeq": 1,
        "exitSeq": 4,
        "closedSeq": 5,
        "droppedBytes": 0,
    }


async def test_the_cursor_is_exclusive(client: Client) -> None:
    await three_chunks(client)
    for after in range(8):
        page = await client.read("p", afterSeq=after)
        assert [one["seq"] for one in page["chunks"]] == [seq for seq in (1, 2, 3) if seq > after]
        assert page["nextSeq"] == 6


async def test_null_and_absent_params_are_the_defaults(client: Client) -> None:
    await three_chunks(client)
    assert await client.read("p", afterSeq=None, maxBytes=None, waitMs=None) == await client.read("p")


async def test_a_page_is_cut_before_the_chunk_that_would_pass_the_limit(client: Client) -> None:
    await three_chunks(client)
    expected = {
        0: ([1], 2),
        1: ([1], 2),
        3: ([1], 2),
        5: ([1], 2),
        6: ([1, 2], 3),
        10: ([1, 2], 3),
        11: ([1, 2, 3], 6),
        10**6: ([1, 2, 3], 6),
    }
    for limit, (seqs, next_seq) in expected.items():
        page = await client.read("p", maxBytes=limit)
        assert ([one["seq"] for one in page["chunks"]], page["nextSeq"]) == (seqs, next_seq), limit
        assert all(base64.b64decode(one["chunk"]) in (b"one", b"two", b"three") for one in page["chunks"])


async def test_next_seq_minus_one_is_always_a_safe_cursor(client: Client) -> None:
    await client.child("p", "alternates_streams.sh", "200")
    seen: list[int] = []
    after = 0
    for _ in range(10_000):
        page = await client.read("p", afterSeq=after, maxBytes=13, waitMs=20_000)
        seen += [one["seq"] for one in page["chunks"]]
        after = page["nextSeq"] - 1
        if page["closed"] and page["closedSeq"] <= after:
            break
    life = await client.until_closed("p")
    assert seen == [event.seq for event in life.events if event.name == "output"]
    assert after == life.close["seq"]


async def test_reading_alone_gives_the_output_in_order_and_once(client: Client) -> None:
    await client.start("p", ["seq", "20000"])
    data, after, page = b"", 0, None
    while page is None or not page["closed"] or page["chunks"]:
        page = await client.read("p", afterSeq=after, maxBytes=5000, waitMs=20_000)
        data += chunks_of(page)
        after = page["nextSeq"] - 1
    assert data == b"".join(b"%d\n" % n for n in range(1, 20_001))


async def test_without_a_wait_an_empty_page_comes_at_once(client: Client) -> None:
    await client.start("p", ["cat"], pipeStdin=True)
    page = await client.read("p")
    assert (page["chunks"], page["nextSeq"], page["exited"], page["exitCode"]) == ([], 1, False, None)
    assert (page["exitSeq"], page["closedSeq"]) == (None, None)
    await client.terminate("p")
    await client.until_closed("p")


async def test_a_long_poll_ends_when_output_comes(client: Client) -> None:
    await client.start("p", ["cat"], pipeStdin=True)
    poll = await client.begin("process/read", processId="p", waitMs=3_600_000)
    await client.write("p", b"hello")
    page = (await client.answer(poll))["result"]
    assert (chunks_of(page), page["nextSeq"], page["exited"]) == (b"hello", 2, False)
    poll = await client.begin("process/read", processId="p", afterSeq=1, waitMs=3_600_000)
    await client.ping()
    assert not client.answered(poll), "what is known does not end a poll"
    await client.write("p", b"more")
    assert chunks_of((await client.answer(poll))["result"]) == b"more"
    await client.terminate("p")
    await client.until_closed("p")


async def test_a_long_poll_ends_at_its_deadline(client: Client) -> None:
    await client.start("p", ["cat"], pipeStdin=True)
    page = await client.read("p", waitMs=50)
    assert (page["chunks"], page["exited"], page["nextSeq"]) == ([], False, 1)
    await client.terminate("p")
    await client.until_closed("p")


async def test_a_long_poll_ends_at_the_exit_even_when_a_descendant_holds_the_pipe(client: Client) -> None:
    await client.sh("p", "sleep 1000 & read x; exit 3", pipeStdin=True)
    poll = await client.begin("process/read", processId="p", waitMs=3_600_000)
    await client.write("p", b"\n")
    page = (await client.answer(poll))["result"]
    assert (page["exited"], page["exitCode"], page["closed"], page["exitSeq"]) == (True, 3, False, 1)
    poll = await client.begin("process/read", processId="p", afterSeq=1, waitMs=3_600_000)
    await client.ping()
    assert not client.answered(poll), "an exit that the cursor has passed does not end a poll"
    await client.terminate("p", graceMs=0)
    page = (await client.answer(poll))["result"]
    assert (page["closed"], page["closedSeq"], page["nextSeq"]) == (True, 2, 3)


async def test_a_closed_process_never_waits(client: Client) -> None:
    await client.run("p", ["true"])
    for after in (0, 1, 2, 3, 100):
        page = await client.read("p", afterSeq=after, waitMs=3_600_000)
        assert (page["closed"], page["chunks"]) == (True, [])


async def test_many_polls_of_one_process_all_end(client: Client) -> None:
    await client.start("p", ["cat"], pipeStdin=True)
    polls = [await client.begin("process/read", processId="p", waitMs=3_600_000) for _ in range(50)]
    await client.write("p", b"for all")
    for poll in polls:
        assert chunks_of((await client.answer(poll))["result"]) == b"for all"
    await client.terminate("p")
    await client.until_closed("p")


async def test_the_page_says_what_signal_and_code_the_process_ended_with(client: Client) -> None:
    await client.run("p", ["sh", "-c", "kill -KILL $$"])
    assert (await client.read("p"))["exitCode"] == 137


async def test_without_max_bytes_a_page_is_about_a_mebibyte(client: Client) -> None:
    await client.run("p", ["head", "-c", "1000000", "/dev/zero"])
    page = await client.read("p")
    assert len(chunks_of(page)) == 1_000_000


async def test_unknown_ids_are_refused_by_name(client: Client) -> None:
    for name in ("nobody", "", "ü", "a b"):
        error = await client.refused("process/read", processId=name)
        assert (error.code, error.message, error.kind) == (-32600, f"unknown process id {name}", "unknownProcess")


@pytest.mark.parametrize("name", ["afterSeq", "maxBytes", "waitMs"])
async def test_numbers_that_are_no_counts_are_bad_params(client: Client, name: str) -> None:
    await client.run("p", ["true"])
    values: list[object] = [-1, 0.5, "1", True, [], {}]
    for value in values:
        error = await client.refused("process/read", processId="p", **{name: value})
        assert (error.code, f"$.{name}" in error.message) == (-32602, True), (value, error.message)


async def test_reading_and_pushing_show_the_same_chunks(client: Client) -> None:
    await client.child("p", "alternates_streams.sh", "100")
    life = await client.until_closed("p")
    page = await client.read("p")
    pushed = [
        {"seq": event.seq, "stream": event.params["stream"], "chunk": event.params["chunk"]}
        for event in life.events
        if event.name == "output"
    ]
    assert page["chunks"] == pushed
