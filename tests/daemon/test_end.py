"""How a session ends, and that it does so in time: protocol, section 5.

That the daemon is gone within its five seconds is asserted by the client at the end of every test, and that no
process is left, by the fixture; what is here are the ways to end and what a client may be doing meanwhile.
"""

import base64
import signal
from collections.abc import AsyncIterator

import pytest
import trio

from tests import kernel
from tests.daemon.launching import launch
from tests.daemon.ways_to_end import SIGNALS, WAYS, end, start_the_difficult, ways
from tests.daemon.wire_client import END_LIMIT, Client


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A daemon of its own for each test: these end it."""
    async with launch() as client:
        yield client


@ways
async def test_every_end_reports_every_process_and_exits_0(way: str) -> None:
    async with launch() as client:
        await client.start("quiet", ["sleep", "1000"])
        await client.child("traps", "traps_term.sh")
        await client.until_output("traps", b"ready\n")
        await client.run("before", ["true"])
        await end(client, way)
        assert await client.until_gone() == 0
        quiet, traps, before = (client.lives[name] for name in ("quiet", "traps", "before"))
        assert (quiet.exit["reason"], quiet.exit["signal"], quiet.exit["exitCode"]) == ("shutdown", "SIGTERM", 143)
        assert (traps.exit["reason"], traps.exit["exitCode"]) == ("shutdown", 7)
        assert traps.before_exit() == b"ready\ntrapped\n", "a trap may still speak"
        assert before.exit["reason"] == "exit"
        assert all(life.closed for life in client.lives.values())


@ways
async def test_every_end_overcomes_the_difficult(way: str) -> None:
    async with launch() as client:
        names = await start_the_difficult(client)
        await end(client, way)
        assert await client.until_gone() == 0
        for name in names:
            life = client.lives[name]
            assert life.exited, name
            assert life.closed, name
            assert name == "left" or life.exit["reason"] == "shutdown", name


async def test_an_idle_daemon_ends_at_once(client: Client) -> None:
    await client.close_stdin()
    with trio.fail_after(END_LIMIT):
        assert await client.until_gone() == 0


@pytest.mark.parametrize("way", [way for way in WAYS if way != "shutdown"])
async def test_a_daemon_without_a_handshake_ends_the_same_way(stranger: Client, way: str) -> None:
    await stranger.refused("no/such/method")  # it is up, and its signals are its own
    await end(stranger, way)
    assert await stranger.until_gone() == 0


async def flood_and_end(way: str) -> None:
    async with launch() as client:
        names = [f"p{n}" for n in range(4)]
        for name in names:
            client.life(name).sink = lambda event: None
            await client.start(name, ["cat", "/dev/zero"])
        await client.until(lambda: client.life("p3").totals["stdout"] > 0, "a flood")
        client.stop_reading()
        if way == "shutdown":
            await client.begin("shutdown")  # its answer is behind the flood
        else:
            await end(client, way)
        assert await client.until_gone() == 0
        client.may_be_torn = True


async def flood_and_resist() -> None:
    async with launch() as client:
        await start_the_difficult(client)
        client.life("flood").sink = lambda event: None
        await client.sh("flood", "trap '' TERM HUP INT; while :; do head -c 1000000 /dev/zero; done")
        await client.until(lambda: client.life("flood").totals["stdout"] > 0, "a flood")
        client.stop_reading()
        await client.close_stdin()
        assert await client.until_gone() == 0
        client.may_be_torn = True


async def test_every_end_comes_though_nobody_reads_stdout_and_nobody_dies_gladly() -> None:
    async with trio.open_nursery() as nursery:  # all at once, since each takes the seconds that it may
        nursery.start_soon(flood_and_resist)
        for way in WAYS:
            nursery.start_soon(flood_and_end, way)


async def test_a_client_that_closes_our_stdout_ends_the_session() -> None:
    async with launch() as client:
        pid = (await client.start("p", ["cat", "/dev/zero"]))["pid"]
        await client.until_output("p", b"\0")
        await client.stdout.aclose()
        assert await client.until_dead() == 0
        assert not kernel.alive(pid)
        client.may_be_torn = True


async def test_a_client_that_closes_our_stdout_ends_the_difficult_too() -> None:
    async with launch() as client:
        await start_the_difficult(client)
        await client.stdout.aclose()
        await client.begin("ping")  # where nothing is written, nobody notices
        assert await client.until_dead() == 0


async def test_requests_before_the_end_of_file_are_answered(client: Client) -> None:
    await client.send(*({"id": f"n{n}", "method": "ping"} for n in range(500)))
    await client.close_stdin()
    for n in range(500):
        await client.answer(f"n{n}")


async def test_a_start_right_before_the_end_of_file_is_reported_whole(client: Client) -> None:
    await client.send(
        *(
            {"id": f"s{n}", "method": "process/start", "params": {"processId": f"p{n}", "argv": ["sleep", "1000"]}}
            for n in range(20)
        )
    )
    await client.close_stdin()
    assert await client.until_gone() == 0
    for n in range(20):
        assert "result" in await client.answer(f"s{n}")
        life = client.lives[f"p{n}"]
        assert (life.exit["reason"], life.closed is not None) == ("shutdown", True)


async def test_a_long_poll_does_not_delay_the_end(client: Client) -> None:
    await client.start("p", ["cat"], pipeStdin=True)
    await client.begin("process/read", processId="p", waitMs=3_600_000)
    await client.ping()
    await client.close_stdin()
    with trio.fail_after(END_LIMIT):
        assert await client.until_gone() == 0


async def test_a_write_that_waits_does_not_delay_the_end(client: Client) -> None:
    await client.child("p", "never_reads.sh", pipeStdin=True)
    await client.begin("process/write", processId="p", chunk=base64.b64encode(b"x" * 2**20).decode())
    await client.ping()
    await client.close_stdin()
    assert await client.until_gone() == 0


async def test_a_second_signal_does_not_break_the_end() -> None:
    async with launch() as client:
        await start_the_difficult(client)
        client.kill(signal.SIGTERM)
        client.kill(signal.SIGINT)
        client.kill(signal.SIGTERM)
        await client.close_stdin()
        client.kill(signal.SIGHUP)
        assert await client.until_gone() == 0
        assert all(life.closed for life in client.lives.values())


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
async def test_a_signal_right_after_the_first_answer_ends_the_session_in_order(number: signal.Signals) -> None:
    for _ in range(4):
        async with launch(handshake=False) as client:
            await client.refused("no/such/method")
            client.kill(number)
            assert await client.until_gone() == 0


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
async def test_a_signal_to_a_daemon_that_has_said_all_changes_nothing(number: signal.Signals) -> None:
    async with launch() as client:
        await client.close_stdin()
        await client.until(lambda: client.ended, "the end of stdout")
        client.kill(number)  # while its interpreter ends, 30 ms or so
        assert await client.until_gone() == 0


async def test_shutdown_is_answered_before_the_end(client: Client) -> None:
    await client.start("p", ["sleep", "1000"])
    assert await client.request("shutdown") == {}
    assert await client.until_gone() == 0
    assert client.lives["p"].exit["reason"] == "shutdown"
