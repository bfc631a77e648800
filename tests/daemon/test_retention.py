"""What is kept, how much of it and how long: protocol, section 4."""

import base64
import sys

import trio

from tests import kernel
from tests.daemon.launching import launch
from tests.daemon.life import Message, chunks_of
from tests.daemon.wire_client import LIMIT, Client

MIB = 2**20


async def whole_log(client: Client, process_id: str) -> tuple[list[Message], Message]:
    """Page through everything that is retained; the chunks, and the last page."""
    chunks: list[Message] = []
    after = 0
    while True:
        page = await client.read(process_id, afterSeq=after)
        chunks += page["chunks"]
        if page["nextSeq"] - 1 == after:
            return chunks, page
        after = page["nextSeq"] - 1


async def test_the_last_mebibyte_is_retained_by_default(client: Client) -> None:
    life = await client.run("p", ["head", "-c", str(5 * MIB), "/dev/zero"])
    chunks, page = await whole_log(client, "p")
    kept = sum(len(base64.b64decode(one["chunk"])) for one in chunks)
    assert MIB - 2**17 <= kept <= MIB, kept
    assert page["droppedBytes"] == 5 * MIB - kept
    assert page["oldestSeq"] == chunks[0]["seq"] > 1
    assert [one["seq"] for one in chunks] == list(range(chunks[0]["seq"], life.exit["seq"]))
    assert (page["exited"], page["closed"], page["exitSeq"]) == (True, True, life.exit["seq"])


async def test_everything_is_pushed_whatever_is_evicted() -> None:
    async with launch("--retain-bytes", "1000") as client:
        life = await client.run("p", ["seq", "100000"])
        assert life.stdout == b"".join(b"%d\n" % n for n in range(1, 100_001))
        chunks, page = await whole_log(client, "p")
        kept = b"".join(base64.b64decode(one["chunk"]) for one in chunks)
        assert len(kept) <= max(1000, len(base64.b64decode(chunks[-1]["chunk"])) if chunks else 0)
        assert page["droppedBytes"] + len(kept) == len(life.stdout)
        assert life.stdout.endswith(kept)


async def test_exit_and_close_are_never_evicted() -> None:
    async with launch("--retain-bytes", "0") as client:
        life = await client.run("p", ["sh", "-c", "echo gone; exit 3"])
        assert life.stdout == b"gone\n"
        page = await client.read("p")
        assert (page["exited"], page["exitCode"], page["closed"]) == (True, 3, True)
        assert (page["exitSeq"], page["closedSeq"]) == (life.exit["seq"], life.close["seq"])
        assert page["nextSeq"] == life.close["seq"] + 1


async def test_whole_chunks_are_evicted_oldest_first() -> None:
    async with launch("--retain-bytes", "10") as client:
        await client.start("p", ["cat"], pipeStdin=True)
        for n, text in enumerate((b"aaaa", b"bbbb", b"cccc", b"dddd", b"e"), 1):
            await client.write("p", text)
            await client.until_output("p", text)
            page = await client.read("p")
            kept = {1: [1], 2: [1, 2], 3: [2, 3], 4: [3, 4], 5: [3, 4, 5]}[n]
            assert [one["seq"] for one in page["chunks"]] == kept
            assert page["oldestSeq"] == kept[0]
            assert page["droppedBytes"] == 4 * (kept[0] - 1)
        await client.terminate("p")
        await client.until_closed("p")


async def test_a_reader_behind_the_oldest_gets_what_there_is_and_sees_its_loss() -> None:
    async with launch("--retain-bytes", "8") as client:
        await client.start("p", ["cat"], pipeStdin=True)
        for text in (b"aaaa", b"bbbb", b"cccc", b"dddd"):
            await client.write("p", text)
            await client.until_output("p", text)
        page = await client.read("p", afterSeq=1)
        assert ([one["seq"] for one in page["chunks"]], page["oldestSeq"], page["nextSeq"]) == ([3, 4], 3, 5)
        page = await client.read("p", afterSeq=1, maxBytes=1)
        assert ([one["seq"] for one in page["chunks"]], page["nextSeq"]) == ([3], 4)
        await client.terminate("p")
        await client.until_closed("p")


async def test_at_most_16384_chunks_are_retained_however_tiny(client: Client) -> None:
    # a pause between the writes, or the pump would join them: what counts is the number of chunks, not their pace
    drip = "import os, time\nwhile True:\n    os.write(1, b'x')\n    time.sleep(0.0001)"
    await client.start("p", [sys.executable, "-S", "-c", drip])
    life = client.life("p")
    await client.until(lambda: life.next_seq > 17_000, "17,000 chunks", seconds=60)
    await client.terminate("p", graceMs=0)
    await client.until_closed("p")
    chunks, page = await whole_log(client, "p")
    assert len(chunks) == 16_384
    assert page["droppedBytes"] == len(life.stdout) - sum(len(base64.b64decode(one["chunk"])) for one in chunks)


async def test_a_closed_process_is_kept_for_a_while_and_then_its_id_is_free() -> None:
    async with launch("--retain-seconds", "0.5") as client:
        await client.run("p", ["echo", "first"])
        assert chunks_of(await client.read("p")) == b"first\n"

        with trio.fail_after(LIMIT):
            # nothing is pushed when a process is forgotten
            while (await client.request("process/list"))["processes"]:  # noqa: ASYNC110
                await trio.sleep(0.02)
        assert (await client.refused("process/read", processId="p")).message == "unknown process id p"
        assert (await client.run("p", ["echo", "second"])).stdout == b"second\n"


async def test_a_running_process_is_not_forgotten() -> None:
    async with launch("--retain-seconds", "0") as client:
        await client.start("p", ["cat"], pipeStdin=True)
        await client.run("q", ["sleep", "0.2"])
        assert await client.write("p", b"still here", closeStdin=True) == "accepted"
        assert (await client.until_closed("p")).stdout == b"still here"


async def test_by_default_a_process_is_kept_for_longer_than_a_moment(client: Client) -> None:
    await client.run("p", ["echo", "kept"])
    await client.run("q", ["sleep", "0.5"])
    assert chunks_of(await client.read("p")) == b"kept\n"


async def test_all_closed_processes_together_are_bounded() -> None:
    """256 MiB over all; the oldest go first."""
    each = 40 * MIB
    async with launch("--retain-bytes", str(each)) as client:
        for n in range(9):
            client.life(f"p{n}").sink = lambda event: None
            await client.run(f"p{n}", ["head", "-c", str(each), "/dev/zero"])
        shown = (await client.request("process/list"))["processes"]
        assert sum(one["retainedBytes"] for one in shown) <= 256 * MIB
        ids = [one["processId"] for one in shown if one["retainedBytes"]]
        assert ids == [f"p{n}" for n in range(9 - len(ids), 9)]
        assert len(ids) >= 5
        assert kernel.resident_kib(client.pid) < 450 * 1024
