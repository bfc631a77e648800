"""How long closed processes are kept, and which go first."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from execserver.server import retention as module
from execserver.server.retention import RECORD_BYTES, RETAIN_ALL_BYTES, Retention


class Kept:
    def __init__(self, seconds: float) -> None:
        self.forgotten: list[tuple[float, str]] = []
        self.retention = Retention(seconds, lambda name: self.forgotten.append((trio.current_time(), name)))

    def names(self) -> list[str]:
        return [name for _, name in self.forgotten]


@asynccontextmanager
async def keeping(seconds: float) -> AsyncIterator[Kept]:
    kept = Kept(seconds)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.retention.run)
        yield kept
        nursery.cancel_scope.cancel()


async def test_each_is_forgotten_when_its_own_time_is_over(autojump_clock: MockClock) -> None:
    async with keeping(80) as kept:
        began = trio.current_time()
        kept.retention.keep("a", 0)
        await trio.sleep(30)
        kept.retention.keep("b", 0)
        await trio.sleep(200)
        kept.retention.keep("c", 0)
        await trio.sleep(200)
    assert kept.forgotten == [(began + 80, "a"), (began + 110, "b"), (began + 310, "c")]


async def test_one_released_early_is_forgotten_once(autojump_clock: MockClock) -> None:
    async with keeping(80) as kept:
        kept.retention.keep("a", 0)
        kept.retention.keep("b", 0)
        await wait_all_tasks_blocked()
        assert kept.retention.release("a")
        assert not kept.retention.release("a")
        assert not kept.retention.release("unknown")
        await trio.sleep(100)
        assert kept.names() == ["a", "b"]


async def test_one_released_before_its_time_began_is_no_error(autojump_clock: MockClock) -> None:
    async with keeping(80) as kept:
        await wait_all_tasks_blocked()
        kept.retention.keep("a", 0)
        kept.retention.release("a")  # nothing is kept when the timer wakes up
        await wait_all_tasks_blocked()
        kept.retention.keep("b", 0)
        await trio.sleep(100)
        assert kept.names() == ["a", "b"]


async def test_an_id_kept_again_gets_its_whole_time(autojump_clock: MockClock) -> None:
    async with keeping(80) as kept:
        began = trio.current_time()
        kept.retention.keep("a", 0)
        await trio.sleep(50)
        kept.retention.release("a")
        kept.retention.keep("a", 0)
        await trio.sleep(200)
    assert kept.forgotten == [(began + 50, "a"), (began + 130, "a")]


async def test_beyond_the_bound_of_all_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert RETAIN_ALL_BYTES == 256 * 1024 * 1024
    monkeypatch.setattr(module, "RETAIN_ALL_BYTES", 3 * (100 + RECORD_BYTES))
    kept = Kept(80)
    for name in "abc":
        kept.retention.keep(name, 100)
    assert kept.names() == []
    kept.retention.keep("d", 101)
    assert kept.names() == ["a", "b"]
    kept.retention.keep("e", 99)
    assert kept.names() == ["a", "b"]


async def test_the_last_one_is_kept_however_large() -> None:
    kept = Kept(80)
    kept.retention.keep("small", 0)
    kept.retention.keep("large", RETAIN_ALL_BYTES + 1)
    assert kept.names() == ["small"]
    kept.retention.keep("next", 0)
    assert kept.names() == ["small", "large"]


async def test_what_has_no_output_counts_too() -> None:
    kept = Kept(80)
    for number in range(RETAIN_ALL_BYTES // RECORD_BYTES + 1):
        kept.retention.keep(str(number), 0)
    assert kept.names() == ["0"]
