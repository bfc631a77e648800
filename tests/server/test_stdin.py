"""What is written to a child: in order, accepted when the kernel has it all, closed behind what is queued."""

import tracemalloc
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from execserver.server import stdin as module
from execserver.server.stdin import BACKLOG_BYTES, REMEMBERED_WRITES, Delivery, Stdin
from execserver.wire.errors import INVALID_PARAMS, SERVER_ERROR, Fault
from tests.support.deliveries import decided
from tests.support.fake_child import FakeChild


def stuffed(*, tty: bool = False) -> tuple[FakeChild, Stdin]:
    """A child that takes nothing for now."""
    child = FakeChild(tty=tty)
    child.appetite = 0
    return child, Stdin(child, is_open=True)


@asynccontextmanager
async def fed(stdin: Stdin) -> AsyncIterator[None]:
    """Feed the child beside the test, until it has taken all that waits."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stdin.feed)
        yield


def statuses(deliveries: Iterable[Delivery]) -> list[str | None]:
    return [delivery.status for delivery in deliveries]


def test_what_the_pipe_takes_at_once_is_accepted_at_once() -> None:
    child = FakeChild()
    stdin = Stdin(child, is_open=True)
    assert stdin.write(b"hello", None, closing=False).status == "accepted"
    assert (child.took, stdin.has_backlog) == (b"hello", False)


async def test_a_part_is_not_accepted_before_the_kernel_has_all_of_it() -> None:
    child, stdin = stuffed()
    delivery = stdin.write(b"hello", None, closing=False)
    async with fed(stdin):
        child.eats(4)
        await wait_all_tasks_blocked()
        assert (child.took, delivery.status, stdin.has_backlog) == (b"hell", None, True)
        child.eats(1)
        assert await decided(delivery) == "accepted"
    assert (child.took, stdin.has_backlog) == (b"hello", False)


@given(st.lists(st.binary(max_size=10), max_size=10), st.lists(st.integers(1, 15), max_size=12))
async def test_however_the_child_eats_it_gets_all_in_order(parts: list[bytes], meals: list[int]) -> None:
    child, stdin = stuffed()
    deliveries = [stdin.write(part, None, closing=False) for part in parts]
    whole = b"".join(parts)
    async with fed(stdin):
        for meal in meals:
            await wait_all_tasks_blocked()
            child.eats(meal)
        await wait_all_tasks_blocked()
        assert child.took == whole[: sum(meals)]
        ends = [sum(map(len, parts[: number + 1])) for number in range(len(parts))]
        for number, end in enumerate(ends):
            if end > len(child.took):
                assert deliveries[number].status is None
            elif end < len(child.took):
                assert deliveries[number].status == "accepted"
        child.eats(len(whole) + 1)
    assert child.took == whole
    assert set(statuses(deliveries)) <= {"accepted"}


def test_an_open_stdin_takes_an_empty_part() -> None:
    assert Stdin(FakeChild(), is_open=True).write(b"", None, closing=False).status == "accepted"


# Its end.


def test_without_a_pipe_stdin_is_closed() -> None:
    child = FakeChild()
    assert Stdin(child, is_open=False).write(b"x", None, closing=False).status == "stdinClosed"
    assert child.took == b""


async def test_closing_waits_behind_what_is_queued() -> None:
    child, stdin = stuffed()
    stdin.write(b"first", None, closing=False)
    last = stdin.write(b"last", None, closing=True)
    async with fed(stdin):
        child.eats(8)
        await wait_all_tasks_blocked()
        assert not child.stdin_closed
        child.eats(1)
        assert await decided(last) == "accepted"
    assert (child.took, child.stdin_closed) == (b"firstlast", True)
    assert stdin.write(b"more", None, closing=False).status == "stdinClosed"


def test_what_is_written_behind_a_close_that_waits_is_refused_with_it_in_time() -> None:
    child, stdin = stuffed()
    stdin.write(b"x", None, closing=True)
    behind = stdin.write(b"y", None, closing=False)
    assert behind.status is None
    child.appetite = None
    stdin.end()
    assert behind.status == "stdinClosed"


async def test_a_child_that_closes_its_stdin_refuses_all_that_waits() -> None:
    child, stdin = stuffed()
    deliveries = [stdin.write(b"x", None, closing=False) for _ in range(3)]
    async with fed(stdin):
        await wait_all_tasks_blocked()
        child.stops_reading()
    assert statuses(deliveries) == ["stdinClosed"] * 3
    assert stdin.write(b"x", None, closing=False).status == "stdinClosed"


def test_a_child_that_reads_no_more_is_told_by_the_write_itself() -> None:
    child = FakeChild()
    child.stops_reading()
    assert Stdin(child, is_open=True).write(b"x", None, closing=False).status == "stdinClosed"
    assert child.stdin_closed


async def test_the_end_of_the_child_ends_the_feeding_and_all_that_waits() -> None:
    _, stdin = stuffed()
    deliveries = [stdin.write(b"x", None, closing=False) for _ in range(3)]
    found: list[str] = []

    async def wait(delivery: Delivery) -> None:
        found.append(await decided(delivery))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stdin.feed)
        for delivery in [*deliveries, deliveries[0]]:
            nursery.start_soon(wait, delivery)
        await wait_all_tasks_blocked()
        stdin.end()
    assert found == ["stdinClosed"] * 4
    stdin.end()  # again is no error


# A terminal, whose end of file is a character.


@pytest.mark.parametrize(
    ("written", "end"), [(b"", b"\4"), (b"line\n", b"\4"), (b"line\r", b"\4"), (b"part", b"\4\4"), (b"a\nb", b"\4\4")]
)
def test_closing_a_terminal_sends_its_end_of_file_which_counts_only_at_the_beginning_of_a_line(
    written: bytes, end: bytes
) -> None:
    child = FakeChild(tty=True)
    stdin = Stdin(child, is_open=True)
    assert stdin.write(written, None, closing=True).status == "accepted"
    assert child.took == written + end
    assert not child.stdin_closed


def test_a_terminal_can_be_fed_again_after_its_end_of_file() -> None:
    child = FakeChild(tty=True)
    stdin = Stdin(child, is_open=True)
    stdin.write(b"", None, closing=True)
    assert stdin.write(b"again\n", None, closing=True).status == "accepted"
    assert child.took == b"\4again\n\4"


def test_one_end_of_file_behind_another_is_one_character() -> None:
    child = FakeChild(tty=True)
    stdin = Stdin(child, is_open=True)
    for text in (b"part", b"", b"again\4"):
        stdin.write(text, None, closing=True)
    assert child.took == b"part\4\4" + b"\4" + b"again\4\4"


async def test_the_end_of_file_of_a_full_terminal_is_sent_once() -> None:
    child, stdin = stuffed(tty=True)
    delivery = stdin.write(b"part", None, closing=True)
    async with fed(stdin):
        for _ in range(6):
            assert delivery.status is None
            child.eats(1)
            await wait_all_tasks_blocked()
        child.eats(10)
        await wait_all_tasks_blocked()
    assert (child.took, delivery.status) == (b"part\4\4", "accepted")


# Repeated writes.


async def test_a_write_repeated_with_the_same_bytes_is_the_same_write() -> None:
    child, stdin = stuffed()
    first = stdin.write(b"hello", "w", closing=False)
    assert stdin.write(b"hello", "w", closing=False) is first
    async with fed(stdin):
        child.eats(100)
        await decided(first)
    assert stdin.write(b"hello", "w", closing=False).status == "accepted"
    assert child.took == b"hello"


def test_a_write_id_with_other_bytes_is_a_conflict() -> None:
    child = FakeChild()
    stdin = Stdin(child, is_open=True)
    stdin.write(b"hello", "w", closing=False)
    for other in (b"hullo", b"hello ", b""):
        with pytest.raises(Fault) as caught:
            stdin.write(other, "w", closing=False)
        assert (caught.value.code, caught.value.kind) == (INVALID_PARAMS, "writeIdConflict")
    assert child.took == b"hello"


def test_a_write_id_that_was_refused_is_free() -> None:
    child = FakeChild()
    child.stops_reading()
    stdin = Stdin(child, is_open=True)
    assert stdin.write(b"one", "w", closing=False).status == "stdinClosed"
    assert stdin.write(b"other", "w", closing=False).status == "stdinClosed"


def test_a_write_repeated_in_order_to_close_closes() -> None:
    child = FakeChild()
    stdin = Stdin(child, is_open=True)
    stdin.write(b"hello", "w", closing=False)
    for _ in range(3):
        assert stdin.write(b"hello", "w", closing=True).status == "accepted"
    assert (child.took, child.stdin_closed) == (b"hello", True)


def test_a_write_stays_accepted_though_the_close_that_repeated_it_was_refused() -> None:
    child = FakeChild()
    stdin = Stdin(child, is_open=True)
    stdin.write(b"hello", "w", closing=False)
    stdin.end()
    assert stdin.write(b"hello", "w", closing=True).status == "stdinClosed"
    assert stdin.write(b"hello", "w", closing=True).status == "stdinClosed"
    assert stdin.write(b"hello", "w", closing=False).status == "accepted"
    with pytest.raises(Fault) as caught:
        stdin.write(b"other", "w", closing=False)
    assert caught.value.kind == "writeIdConflict"


def test_a_write_repeated_in_order_to_end_the_file_of_a_terminal_ends_it_once() -> None:
    child = FakeChild(tty=True)
    stdin = Stdin(child, is_open=True)
    stdin.write(b"hello\n", "w", closing=False)
    for _ in range(3):
        assert stdin.write(b"hello\n", "w", closing=True).status == "accepted"
    assert child.took == b"hello\n\4"


def test_a_close_repeated_is_accepted_again() -> None:
    child = FakeChild()
    stdin = Stdin(child, is_open=True)
    stdin.write(b"hello", "w", closing=True)
    assert stdin.write(b"hello", "w", closing=True).status == "accepted"
    assert stdin.write(b"other", "v", closing=True).status == "stdinClosed"
    assert child.took == b"hello"


def test_the_last_4096_writes_are_remembered() -> None:
    child = FakeChild()
    stdin = Stdin(child, is_open=True)
    for number in range(REMEMBERED_WRITES + 1):
        stdin.write(b"x", str(number), closing=False)
    assert len(child.took) == REMEMBERED_WRITES + 1 == 4097
    stdin.write(b"x", "1", closing=False)
    assert len(child.took) == REMEMBERED_WRITES + 1
    stdin.write(b"x", "0", closing=False)  # forgotten, so it is a new one
    assert len(child.took) == REMEMBERED_WRITES + 2


# The bound.


async def test_more_than_the_bound_is_refused_whole_and_what_waits_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert BACKLOG_BYTES == 64 * 1024 * 1024
    monkeypatch.setattr(module, "BACKLOG_BYTES", 10)
    child, stdin = stuffed()
    first = stdin.write(b"1234567890", None, closing=False)
    with pytest.raises(Fault, match="10 bytes wait") as caught:
        stdin.write(b"x", "w", closing=False)
    assert (caught.value.code, caught.value.kind) == (SERVER_ERROR, "stdinBacklog")
    async with fed(stdin):
        child.eats(1)
        await wait_all_tasks_blocked()
        again = stdin.write(b"x", "w", closing=False)  # the refused one is not remembered
        child.eats(100)
        assert (await decided(first), await decided(again)) == ("accepted", "accepted")
    assert child.took == b"1234567890x"


@pytest.mark.parametrize("status", ["accepted", "stdinClosed"])
def test_of_a_write_that_is_remembered_the_bytes_are_not_kept(status: str) -> None:
    child = FakeChild()
    stdin = Stdin(child, is_open=status == "accepted")
    tracemalloc.start()
    try:
        for number in range(100):
            assert stdin.write(bytes(100_000), str(number), closing=False).status == status
            child.took = b""
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 200_000
