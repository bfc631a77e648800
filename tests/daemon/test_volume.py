"""Much of everything: no byte lost, nobody starved, memory flat: protocol, section 3.

EXECSERVER_TEST_MIB sets the size of the large transfer (256 by default, so that the suite stays short; 1024 is what
the project promises).
"""

import hashlib
import os
import random
import sys
from collections.abc import AsyncIterator

import pytest
import trio

from tests import kernel
from tests.daemon.launching import launch
from tests.daemon.life import Event, Life
from tests.daemon.wire_client import Client

MIB = 2**20
TRANSFER = int(os.environ.get("EXECSERVER_TEST_MIB", "256")) * MIB

# A block of random bytes with its number in front, again and again: a lost, doubled or swapped block changes the hash.
WRITER = """
import os, random, sys
block = random.Random(1).randbytes(65528)
for n in range(int(sys.argv[1]) // 65536):
    data = n.to_bytes(8, "big") + block
    while data:
        data = data[os.write(1, data):]
"""


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A daemon of its own for each test: these measure it."""
    async with launch() as client:
        yield client


def expected_hash(size: int) -> str:
    block = random.Random(1).randbytes(65528)
    digest = hashlib.sha256()
    for n in range(size // 65536):
        digest.update(n.to_bytes(8, "big") + block)
    return digest.hexdigest()


def hashing(life: Life) -> "hashlib._Hash":
    """Hash the output of a process as it comes, and keep none of it."""
    digest = hashlib.sha256()

    def take(event: Event) -> None:
        digest.update(event.data)

    life.sink = take
    return digest


async def test_a_large_output_arrives_without_a_lost_byte_and_in_flat_memory(client: Client) -> None:
    digest = hashing(client.life("p"))
    await client.start("p", [sys.executable, "-S", "-c", WRITER, str(TRANSFER)])
    with trio.fail_after(30 + TRANSFER / (8 * MIB)):
        life = client.life("p")
        await client.until(lambda: life.closed, "the whole transfer", seconds=10_000)
    assert life.close["stdoutBytes"] == TRANSFER
    assert digest.hexdigest() == expected_hash(TRANSFER)
    assert kernel.resident_kib(client.pid, "VmHWM") < 64 * 1024


async def test_eight_floods_at_once_arrive_without_a_lost_byte(client: Client) -> None:
    size = 16 * MIB
    digests = {f"p{n}": hashing(client.life(f"p{n}")) for n in range(8)}
    for name in digests:
        await client.start(name, [sys.executable, "-S", "-c", WRITER, str(size)])
    expected = expected_hash(size)
    for name, digest in digests.items():
        await client.until_closed(name)
        assert digest.hexdigest() == expected


async def test_a_client_that_does_not_read_stops_its_children_and_costs_no_memory(client: Client) -> None:
    names = [f"p{n}" for n in range(8)]
    started = []
    for name in names:
        client.life(name).sink = lambda event: None
        started.append(await client.start(name, ["cat", "/dev/zero"]))
    await client.until(lambda: all(client.life(name).totals["stdout"] for name in names), "eight floods")
    client.stop_reading()
    tasks = [client.pid, *(one["pid"] for one in started)]
    with trio.fail_after(30):
        quiet = 0
        while quiet < 20:  # every flood is blocked in write(2), and the daemon has nothing left to do
            before = sum(map(kernel.cpu_seconds, tasks))
            await trio.sleep(0.02)
            quiet = quiet + 1 if sum(map(kernel.cpu_seconds, tasks)) == before else 0
    assert kernel.resident_kib(client.pid, "VmHWM") < 64 * 1024
    client.read_on()
    totals = {name: client.life(name).totals["stdout"] for name in names}
    await client.until(
        lambda: all(client.life(name).totals["stdout"] > totals[name] + MIB for name in names), "floods that go on"
    )
    for name in names:
        await client.terminate(name, graceMs=0)
        await client.until_closed(name)
    assert kernel.resident_kib(client.pid, "VmHWM") < 64 * 1024


async def test_a_stalled_client_loses_nothing(client: Client) -> None:
    size = 8 * MIB
    digests = {f"p{n}": hashing(client.life(f"p{n}")) for n in range(4)}
    for name in digests:
        await client.start(name, [sys.executable, "-S", "-c", WRITER, str(size)])
    for _ in range(5):
        client.stop_reading()
        await trio.sleep(0.05)  # not a wait for anything: the stall itself
        client.read_on()
        await client.ping()
    expected = expected_hash(size)
    for name, digest in digests.items():
        await client.until_closed(name)
        assert digest.hexdigest() == expected


async def test_answers_get_their_turn_beside_eight_floods(client: Client) -> None:
    for n in range(8):
        client.life(f"p{n}").sink = lambda event: None
        await client.start(f"p{n}", ["cat", "/dev/zero"])
    for _ in range(100):
        await client.ping()
    assert (await client.run("beside", ["echo", "hi"])).stdout == b"hi\n"
    totals = [client.life(f"p{n}").totals["stdout"] for n in range(8)]
    assert min(totals) > 0, f"one process starves: {totals}"
    for n in range(8):
        await client.terminate(f"p{n}", graceMs=0)
        await client.until_closed(f"p{n}")


async def test_a_hundred_processes_at_once(client: Client) -> None:
    script = 'read x; echo "$x"; exit "$1"'
    for n in range(100):
        await client.begin(
            "process/start",
            processId=f"p{n}",
            argv=["sh", "-c", script, "sh", str(n)],
            pipeStdin=True,
        )
    for n in range(100):
        assert await client.write(f"p{n}", b"to %d\n" % n) == "accepted"
    for n in range(100):
        life = await client.until_closed(f"p{n}")
        assert (life.stdout, life.exit["exitCode"]) == (b"to %d\n" % n, n)


async def test_a_hundred_terminals_at_once(client: Client) -> None:
    for n in range(100):
        await client.begin("process/start", processId=f"p{n}", argv=["sh", "-c", 'read x; exit "$x"'], tty=True)
    for n in range(100):
        assert await client.write(f"p{n}", b"%d\n" % n) == "accepted"
    for n in range(100):
        assert (await client.until_closed(f"p{n}")).exit["exitCode"] == n


async def test_a_thousand_processes_one_after_the_other_leave_no_trace() -> None:
    async with launch("--retain-seconds", "0") as client:
        for round_ in range(20):
            for n in range(50):
                await client.begin("process/start", processId=f"{round_}/{n}", argv=["true"])
            for n in range(50):
                await client.until_closed(f"{round_}/{n}")
            client.messages.clear()
        # descriptors, zombies and descendants are compared by the fixture


async def test_an_idle_daemon_with_children_uses_no_cpu(client: Client) -> None:
    for n in range(20):
        await client.start(f"p{n}", ["sleep", "1000"])
    await client.ping()
    before = kernel.cpu_seconds(client.pid)
    await trio.sleep(0.5)  # the time over which the use is measured
    assert kernel.cpu_seconds(client.pid) - before <= 0.02
    for n in range(20):
        await client.terminate(f"p{n}", graceMs=0)
        await client.until_closed(f"p{n}")
