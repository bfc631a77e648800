"""What a consumer that does not keep up costs: bounded memory, and what the server no longer has; nobody's time."""

import tracemalloc
from pathlib import Path
from typing import Any

import trio

from execserver.client.buffer import LIMIT_BYTES
from execserver.client.trio import Lost, Output, connect

from .bounded import bounded

FLOOD_BYTES = 64 << 20
MARGIN_BYTES = 3 << 20  # lines, pages and chunks on their way


async def consume(events: Any, *, sleep_at: int | None = None) -> tuple[int, int]:
    """Give the bytes received and the bytes lost."""
    received = lost = 0
    expected = 1
    async for event in events:
        assert (event.first_seq if isinstance(event, Lost) else event.seq) == expected
        expected = event.seq + 1
        if isinstance(event, Output):
            received += len(event.data)
        elif isinstance(event, Lost):
            lost += event.dropped_bytes or 0
        if sleep_at is not None and received >= sleep_at:
            sleep_at = None
            await trio.sleep(2)
    return received, lost


@bounded
async def test_a_flood_passes_through_a_small_buffer_whole_and_in_bounded_memory() -> None:
    async with connect() as server:
        process = await server.start(["head", "-c", str(FLOOD_BYTES), "/dev/zero"])
        tracemalloc.start()
        try:
            assert await consume(process.events()) == (FLOOD_BYTES, 0)
            assert tracemalloc.get_traced_memory()[1] < LIMIT_BYTES + MARGIN_BYTES
        finally:
            tracemalloc.stop()


@bounded
async def test_a_consumer_that_sleeps_costs_bounded_memory_and_is_told_what_it_lost() -> None:
    async with connect() as server:
        # A second subscription to a flood that has begun would have lost its beginning.
        process = await server.start(["sh", "-c", f"read x; head -c {FLOOD_BYTES} /dev/zero"], stdin="pipe")
        slow, fast = process.events(), process.events()
        await process.write(b"\n")
        tracemalloc.start()
        try:
            results: dict[str, tuple[int, int]] = {}

            async def follow(name: str, events: Any, sleep_at: int | None) -> None:
                results[name] = await consume(events, sleep_at=sleep_at)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(follow, "slow", slow, 1 << 20)
                nursery.start_soon(follow, "fast", fast, None)
                while "fast" not in results:
                    await server.ping()
            assert tracemalloc.get_traced_memory()[1] < 2 * (LIMIT_BYTES + MARGIN_BYTES)
        finally:
            tracemalloc.stop()
    assert sum(results["slow"]) == sum(results["fast"]) == FLOOD_BYTES
    assert results["fast"][1] == 0
    assert results["slow"][1] > 0  # it slept through more than there is room for


@bounded
async def test_a_lossless_connection_stops_the_child_while_its_consumer_sleeps() -> None:
    async with connect(lossless=True) as server:
        process = await server.start(["head", "-c", str(FLOOD_BYTES), "/dev/zero"])
        assert await consume(process.events(), sleep_at=1 << 20) == (FLOOD_BYTES, 0)


@bounded
async def test_a_consumer_that_stops_for_ever_stops_nobody(tmp_path: Path) -> None:
    async with connect() as server:
        process = await server.start(["head", "-c", str(FLOOD_BYTES), "/dev/zero"])
        forgotten = process.events()
        assert (await anext(forgotten)).seq == 1
        assert (await process.wait()).exit_code == 0
        # Nor while nothing is awaited of the connection: the child writes its last word when all is read.
        flood = await server.start(["sh", "-c", f"head -c {FLOOD_BYTES} /dev/zero; echo done > {tmp_path}/done"])
        kept = flood.events()
        await anext(kept)
        while not (tmp_path / "done").exists():  # noqa: ASYNC110 - asking the server would end the silence
            await trio.sleep(0.05)
        assert (forgotten.last_seq, kept.last_seq) == (1, 1)
