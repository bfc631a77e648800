"""Clients and children that mean harm, and a machine that is short of something: memory flat, the daemon alive."""

import errno
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import trio

from tests import kernel
from tests.daemon.launching import launch
from tests.daemon.wire_client import Client

MIB = 2**20


async def send_until_blocked(client: Client, request: str, count: int) -> None:
    """Send requests until the daemon takes no more, or has taken all; %d in them becomes their id."""
    for begin in range(0, count, 500):
        with trio.move_on_after(2.0) as patience:
            await client.stdin.send_all("".join(request % n for n in range(begin, begin + 500)).encode())
        if patience.cancelled_caught:
            break


async def test_requests_whose_answers_nobody_reads_cost_no_memory() -> None:
    async with launch(exit_code=None) as client:
        client.stop_reading(for_good=True)
        request = '{"jsonrpc":"2.0","id":%d,"method":"no/such/method/with/a/long/name"}\n'
        await send_until_blocked(client, request, 1_000_000)
        # measured: 64 MiB after 200,000 requests as after a million
        assert kernel.resident_kib(client.pid, "VmHWM") < 96 * 1024
        client.kill()
        await client.until_dead()


async def test_large_answers_that_nobody_reads_cost_no_memory() -> None:
    async with launch(exit_code=None) as client:
        await client.run("p", ["head", "-c", str(MIB), "/dev/zero"])
        client.stop_reading(for_good=True)
        request = '{"jsonrpc":"2.0","id":%d,"method":"process/read","params":{"processId":"p"}}\n'
        await send_until_blocked(client, request, 1000)
        assert kernel.resident_kib(client.pid, "VmHWM") < 128 * 1024
        client.kill()
        await client.until_dead()


async def test_a_client_that_reads_again_gets_every_answer() -> None:
    async with launch() as client:
        client.stop_reading()
        sent = 0
        while sent < 20_000:
            with trio.move_on_after(2.0) as patience:
                await client.send(*({"id": sent + n, "method": "ping"} for n in range(500)))
            if patience.cancelled_caught:
                break  # some of this batch may have been sent, and half a line
            sent += 500
        client.read_on()
        await client.send_bytes(b"\n")
        for n in range(sent):
            assert (await client.answer(n))["result"] == {}
        client.nobodys.clear()


async def test_a_daemon_short_of_descriptors_refuses_to_start_and_lives() -> None:
    async with launch(wrapper=["sh", "-c", 'ulimit -n 100; exec "$@"', "sh"]) as client:
        running: list[str] = []
        refused = 0
        for n in range(60):
            name = f"p{n}"
            answer = await client.answer(
                await client.begin("process/start", processId=name, argv=["cat"], pipeStdin=True, tty=n % 3 == 0)
            )
            if "error" in answer:
                refused += 1
                error = answer["error"]
                assert (error["code"], error["data"]["kind"]) == (-32603, "resourceExhausted"), error
                assert error["data"]["errno"] in (errno.EMFILE, errno.ENFILE)
            else:
                running.append(name)
        assert running
        assert refused
        for name in running:
            assert await client.write(name, b"alive\n") == "accepted"
            await client.until_output(name, b"alive")
            await client.terminate(name, graceMs=0)
            await client.until_closed(name)
        assert (await client.run("after", ["echo", "room again"])).stdout == b"room again\n"


async def test_a_child_that_flees_again_and_again_does_not_outlive_the_daemon() -> None:
    script = "trap '' TERM HUP INT; echo ready; while :; do setsid sleep 1000 >/dev/null 2>&1 & sleep 0.01; done"
    async with launch() as client:
        await client.sh("p", script)
        await client.until_output("p", b"ready")
        await kernel.settled(lambda: len(kernel.descendants(client.pid)) > 10, "a few fugitives")
        await client.close_stdin()
        assert await client.until_gone() == 0
        # the fixture finds whoever is left


async def test_a_child_that_forks_as_fast_as_it_can_does_not_outlive_a_killed_daemon() -> None:
    script = "trap '' TERM HUP INT; echo ready; while :; do sleep 1000 & sleep 0.005; done"
    async with launch(exit_code=None) as client:
        await client.sh("p", script)
        await client.until_output("p", b"ready")
        await kernel.settled(lambda: len(kernel.descendants(client.pid)) > 10, "a few children")
        client.kill()
        await client.until_dead()


async def test_a_child_that_stops_and_kills_its_relatives_harms_nobody_else(client: Client) -> None:
    await client.start("other", ["cat"], pipeStdin=True)
    life = await client.run("p", ["sh", "-c", "kill -KILL 0"])
    assert life.exit["signal"] == "SIGKILL"
    assert await client.write("other", b"alive", closeStdin=True) == "accepted"
    assert (await client.until_closed("other")).stdout == b"alive"


async def test_a_child_cannot_write_into_the_protocol(client: Client) -> None:
    """Its parent's descriptors 0 and 1 are not the wire."""
    await client.sh("p", f"echo nonsense >/proc/{client.pid}/fd/1; echo nonsense >/proc/{client.pid}/fd/0; exit 0")
    await client.until_closed("p")
    await client.ping()


async def test_a_killed_guardian_is_no_way_round_it() -> None:
    async with launch(exit_code=None) as client:
        first = (await client.start("first", ["sleep", "1000"]))["pid"]
        others = [one.pid for one in kernel.descendants(client.pid) if one.pid != first]
        for pid in others:
            os.kill(pid, signal.SIGKILL)
        await kernel.settled(lambda: all(map(kernel.dead, others)), "the end of the guardian")
        second = (await client.start("second", ["sleep", "1000"]))["pid"]
        await kernel.settled(lambda: len(kernel.descendants(client.pid)) > 2, "another guardian")
        client.kill()
        await client.until_dead()
        await kernel.settled(lambda: kernel.dead(first) and kernel.dead(second), "the end of both", 2.0)


async def test_a_quiet_daemon_notices_that_its_stdout_was_closed() -> None:
    async with launch() as client:
        pid = (await client.start("p", ["sleep", "1000"]))["pid"]
        await client.stdout.aclose()
        assert await client.until_dead() == 0
        assert not kernel.alive(pid)


async def test_nesting_that_is_not_too_deep_is_tolerated(client: Client) -> None:
    deep = "[" * 100 + "]" * 100
    await client.send_bytes(f'{{"jsonrpc":"2.0","id":"deep","method":"ping","params":{{"a":{deep}}}}}\n'.encode())
    assert (await client.answer("deep"))["result"] == {}


def nested(depth: int) -> str:
    return '{"a":' + "[" * depth + "]" * depth + "}"


async def answer_to(client: Client, members: str, depth: int) -> Any:
    """The answer to a start of nothing, whose metadata is nested so deep."""
    params = '{"processId":"p","argv":[],"metadata":' + nested(depth) + "}"
    known = len(client.messages)
    await client.send_bytes(f'{{"method":"process/start",{members},"params":{params}}}\n'.encode())
    await client.until(lambda: len(client.messages) > known, f"an answer at {depth}")
    client.answers.clear()
    return client.messages[-1]["error"]["code"]


async def deepest(client: Client) -> int:
    """How deep metadata may be nested: the interpreter's limit, which is another one in each version."""
    fits, too_deep = 100, 200_000
    while too_deep - fits > 1:
        depth = (fits + too_deep) // 2
        if await answer_to(client, '"id":1', depth) == -32602:
            fits = depth
        else:
            too_deep = depth
    return fits


@pytest.mark.parametrize(
    ("flaw", "code"),
    [
        ('"jsonrpc":"1.0","id":1', -32600),
        ('"id":1.5', -32600),
        ('"id":[]', -32600),
        ('"id":1,"jsonrpc":2', -32600),
        ('"id":"argv"', -32602),
    ],
)
async def test_nesting_is_too_deep_from_one_depth_on_whatever_else_is_wrong(
    client: Client, flaw: str, code: int
) -> None:
    limit = await deepest(client)
    codes = [await answer_to(client, flaw, depth) for depth in range(limit - 80, limit + 81)]
    assert codes == [code] * 81 + [-32700] * 80


async def test_metadata_as_deep_as_a_line_may_be_is_listed_again(client: Client) -> None:
    limit = await deepest(client)
    params = '{"processId":"p","argv":["true"],"metadata":' + nested(limit) + "}"
    await client.send_bytes(f'{{"id":"deep","method":"process/start","params":{params}}}\n'.encode())
    await client.until_closed("p")
    inner = (await client.request("process/list"))["processes"][0]["metadata"]["a"]
    for _ in range(limit - 1):
        [inner] = inner
    assert inner == []


def dumps_core(script: str, cwd: Path) -> bool:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", f'cd "$0" && {script}', str(cwd)], os.environ)
    return os.WCOREDUMP(os.waitpid(pid, 0)[1])


async def test_a_core_dump_is_told_as_the_kernel_tells_it(client: Client, tmp_path: Path) -> None:
    script = "ulimit -c unlimited; kill -SEGV $$"
    dumped = await trio.to_thread.run_sync(dumps_core, script, tmp_path)
    life = await client.run("p", ["sh", "-c", script], cwd=str(tmp_path))
    assert (life.exit["signal"], life.exit["coreDumped"]) == ("SIGSEGV", dumped)


async def test_a_process_whose_program_is_deleted_and_directory_removed_goes_on(client: Client, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    await client.sh("p", "echo ready; read x; echo still here", cwd=str(place), pipeStdin=True)
    await client.until_output("p", b"ready")
    place.rmdir()
    await client.write("p", b"\n")
    assert (await client.until_closed("p")).stdout == b"ready\nstill here\n"
    await client.request("process/list")


async def test_output_in_every_size_of_write_is_whole(client: Client) -> None:
    script = "import os\nfor n in range(1, 400):\n    os.write(1 + n % 2, bytes([n % 251]) * (n * 37 % 9000 + 1))"
    life = await client.run("p", ["python3", "-S", "-c", script])
    expected = {1: b"", 2: b""}
    for n in range(1, 400):
        expected[1 + n % 2] += bytes([n % 251]) * (n * 37 % 9000 + 1)
    assert (life.stdout, life.stderr) == (expected[1], expected[2])
