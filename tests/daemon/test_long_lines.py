"""Lines that are long, and too long, in both directions: protocol, section 1."""

import json
from collections.abc import AsyncIterator

import pytest

from tests import kernel
from tests.daemon.launching import launch
from tests.daemon.wire_client import Client

MIB = 2**20


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A daemon of its own for each test: these measure it, or end its input."""
    async with launch() as client:
        yield client


async def test_a_line_above_the_limit_is_refused_and_the_connection_lives() -> None:
    async with launch("--max-line-bytes", "10000") as client:
        await client.send_bytes(b'{"jsonrpc":"2.0","id":1,"method":"ping","pad":"' + b"x" * 10_000 + b'"}\n')
        answer = await client.answer_to_nobody()
        assert answer["error"]["code"] == -32600
        await client.ping()
        assert not client.nobodys


async def test_the_limit_of_a_line_counts_its_bytes_without_its_ending() -> None:
    def line_of(size: int, request_id: str) -> bytes:
        head = b'{"jsonrpc":"2.0","id":"' + request_id.encode() + b'","method":"ping","pad":"'
        return head + b"x" * (size - len(head) - 2) + b'"}'

    async with launch("--max-line-bytes", "2000") as client:
        await client.send_bytes(line_of(2000, "fits") + b"\n" + line_of(2000, "fits with CR") + b"\r\n")
        assert (await client.answer("fits"))["result"] == {}
        assert (await client.answer("fits with CR"))["result"] == {}
        await client.send_bytes(line_of(2001, "does not") + b"\n")
        assert (await client.answer_to_nobody())["error"]["code"] == -32600
        assert not client.answered("does not")


async def test_a_line_above_the_limit_that_arrives_in_pieces_is_answered_once() -> None:
    async with launch("--max-line-bytes", "1000") as client:
        for _ in range(50):
            await client.send_bytes(b"x" * 500)
        await client.send_bytes(b'\n{"jsonrpc":"2.0","id":"next","method":"ping"}\n')
        assert (await client.answer_to_nobody())["error"]["code"] == -32600
        assert (await client.answer("next"))["result"] == {}
        assert not client.nobodys


async def test_a_line_above_the_limit_that_never_ends_is_answered_at_the_end_of_file() -> None:
    async with launch("--max-line-bytes", "1000") as client:
        await client.send_bytes(b"x" * 5000)
        await client.close_stdin()
        assert (await client.answer_to_nobody())["error"]["code"] == -32600


async def test_a_line_above_64_mib_is_never_held_whole(client: Client) -> None:
    before = kernel.resident_kib(client.pid)
    for _ in range(200):
        await client.send_bytes(b"x" * MIB)
    await client.send_bytes(b"\n")
    assert (await client.answer_to_nobody())["error"]["code"] == -32600
    await client.ping()
    # up to the limit a line has to be held, since its end may still come; 200 MiB of it may not
    assert kernel.resident_kib(client.pid, "VmHWM") - before < 150 * 1024
    assert kernel.resident_kib(client.pid) - before < 32 * 1024, "the discarded line is still held"


async def test_a_line_of_many_megabytes_within_the_limit_is_served(client: Client) -> None:
    await client.start("p", ["wc", "-c"], pipeStdin=True)
    assert await client.write("p", b"\0" * (20 * MIB), closeStdin=True) == "accepted"
    assert (await client.until_closed("p")).stdout.strip() == str(20 * MIB).encode()


async def test_notifications_stay_below_one_mebibyte(client: Client) -> None:
    life = await client.run("p", ["head", "-c", str(8 * MIB), "/dev/zero"])
    assert len(life.stdout) == 8 * MIB
    largest = max(len(json.dumps(event.params)) for event in life.events)
    assert largest < MIB  # the client judges the raw lines; this shows that there was something to judge
