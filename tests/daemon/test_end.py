"""How a session ends, and that nothing survives it: protocol, section 5.

That the daemon is gone within its five seconds is asserted by the client at the end of every test, and that no
process is left, by the fixture; what is here are the ways to end and the children that make it hard.
"""

import base64
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
import trio

from tests import kernel
from tests.daemon.launching import COMMAND, environment, launch
from tests.daemon.wire_client import END_LIMIT, Client


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A daemon of its own for each test: these end it."""
    async with launch() as client:
        yield client


SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
WAYS = ["EOF", "shutdown", *(number.name for number in SIGNALS)]

ways = pytest.mark.parametrize("way", WAYS)


async def end(client: Client, way: str) -> None:
    """End the session; the daemon must then go by itself."""
    if way == "EOF":
        await client.close_stdin()
    elif way == "shutdown":
        assert await client.request("shutdown") == {}
    else:
        client.kill(signal.Signals[way])


async def start_the_difficult(client: Client) -> list[str]:
    """Children with one vice each; all of them are up when this returns."""
    await client.child("ignores", "ignores_term.sh")
    await client.child("family", "forks_a_family.sh")
    await client.child("terminal", "ignores_term.sh", tty=True)
    await client.child("deaf", "never_reads.sh", pipeStdin=True)
    await client.child("stopped", "stops_itself.sh")
    await client.child("closes", "closes_stdin.sh", pipeStdin=True)
    names = ["ignores", "family", "terminal", "deaf", "stopped", "closes"]
    for name in names:
        await client.until_output(name, b"ready")
    await client.child("left", "leaves_stubborn_holder.sh")
    await client.until_exited("left")
    return [*names, "left"]


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


@pytest.mark.parametrize("way", ["EOF", "SIGTERM", "shutdown"])
async def test_the_end_comes_though_nobody_reads_stdout(way: str) -> None:
    async with launch() as client:
        for n in range(4):
            client.life(f"p{n}").sink = lambda event: None
        for n in range(4):
            await client.start(f"p{n}", ["cat", "/dev/zero"])
        await client.until(lambda: client.life("p3").totals["stdout"] > 0, "a flood")
        client.stop_reading()
        if way == "shutdown":
            await client.begin("shutdown")  # its answer is behind the flood
        else:
            await end(client, way)
        code = await client.until_gone()
        assert code == 0
        client.may_be_torn = True


async def test_the_end_comes_though_nobody_reads_stdout_and_nobody_dies_gladly() -> None:
    async with launch() as client:
        await start_the_difficult(client)
        client.life("flood").sink = lambda event: None
        await client.sh("flood", "trap '' TERM HUP INT; while :; do head -c 1000000 /dev/zero; done")
        await client.until(lambda: client.life("flood").totals["stdout"] > 0, "a flood")
        client.stop_reading()
        await client.close_stdin()
        assert await client.until_gone() == 0
        client.may_be_torn = True


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


async def test_shutdown_is_answered_before_the_end(client: Client) -> None:
    await client.start("p", ["sleep", "1000"])
    assert await client.request("shutdown") == {}
    assert await client.until_gone() == 0
    assert client.lives["p"].exit["reason"] == "shutdown"


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "starting and flooding"])
async def test_no_process_survives_a_killed_daemon(busy: bool) -> None:
    async with launch(exit_code=None) as client:
        await start_the_difficult(client)
        if busy:
            client.life("flood").sink = lambda event: None
            await client.start("flood", ["cat", "/dev/zero"])
            for n in range(50):
                await client.begin("process/start", processId=f"s{n}", argv=["sleep", "1000"])
        below = kernel.descendants(client.pid)
        assert len(below) >= 9
        client.kill()
        await client.until_dead()
        await kernel.settled(
            lambda: not any(kernel.alive(one.pid) for one in below), "the end of every group", kernel.SETTLE_SECONDS
        )


async def test_a_fugitive_whose_family_lives_does_not_survive_a_killed_daemon() -> None:
    async with launch(exit_code=None) as client:
        await client.child("p", "flees_by_setsid.sh")
        fugitive = int((await client.until_output("p", b"fled")).stdout.split()[1])
        client.kill()
        await client.until_dead()
        await kernel.settled(lambda: kernel.dead(fugitive), "the end of the fugitive", kernel.SETTLE_SECONDS)


async def test_a_killed_daemon_spares_what_ended_before_it() -> None:
    """The guardian must not signal the number of a group that has ended: it may be somebody else's by now."""
    async with launch(exit_code=None) as client:
        for n in range(20):
            await client.run(f"p{n}", ["true"])
        await client.start("q", ["sleep", "1000"])
        client.kill()
        await client.until_dead()


@ways
@pytest.mark.parametrize("program", ["flees_by_setsid.sh", "flees_by_double_fork.sh"])
async def test_a_process_that_left_its_group_does_not_outlive_the_server(way: str, program: str) -> None:
    async with launch() as client:
        await client.child("p", program)
        life = await client.until_output("p", b"fled")
        fugitive = int(life.stdout.split()[1])
        assert kernel.alive(fugitive)
        await end(client, way)
        assert await client.until_gone() == 0
        assert not kernel.alive(fugitive)


async def test_fugitives_end_though_stdout_is_closed() -> None:
    async with launch() as client:
        await client.child("p", "flees_by_double_fork.sh")
        life = await client.until_output("p", b"fled")
        await client.stdout.aclose()
        await client.close_stdin()
        assert await client.until_dead() == 0
        assert not kernel.alive(int(life.stdout.split()[1]))


async def test_what_was_found_and_ended_is_logged() -> None:
    async with launch("--log-level", "info") as client:
        await client.child("p", "flees_by_double_fork.sh")
        fugitive = (await client.until_output("p", b"fled")).stdout.split()[1].decode()
        await client.close_stdin()
        await client.until_gone()
        assert fugitive in client.stderr


async def test_the_descriptors_that_were_lent_come_back_as_they_were() -> None:
    """O_NONBLOCK belongs to the open file description, which is the launcher's as well."""
    read, write = os.pipe()
    out_read, out_write = os.pipe()
    try:
        process = await trio.lowlevel.open_process(COMMAND, stdin=read, stdout=out_write, env=environment())
        os.write(write, b'{"id":1,"method":"no/such"}\n')
        with trio.fail_after(30):
            await trio.lowlevel.wait_readable(out_read)
            os.close(write)
            write = -1
            assert await process.wait() == 0
        assert os.get_blocking(read)
        assert os.get_blocking(out_write)
    finally:
        for descriptor in (read, write, out_read, out_write):
            if descriptor >= 0:
                os.close(descriptor)


async def test_a_regular_file_as_stdin_is_served(tmp_path: os.PathLike[str]) -> None:
    """No epoll takes a regular file; a script of requests is still served to its end."""
    path = f"{tmp_path}/requests"
    lines = [
        '{"id":1,"method":"initialize","params":{"clientName":"file"}}',
        '{"method":"initialized"}',
        '{"id":2,"method":"process/read","params":{"processId":"nobody"}}',
    ]
    with open(path, "w+") as requests, trio.fail_after(30):
        requests.write("\n".join(lines))
        requests.seek(0)
        done = await trio.run_process(COMMAND, stdin=requests, capture_stdout=True, env=environment(), check=False)
    assert done.returncode == 0
    assert done.stdout.count(b"\n") == 2
    assert b"unknown process id nobody" in done.stdout


async def test_dev_null_as_stdin_is_an_end_of_file() -> None:
    with trio.fail_after(30):
        done = await trio.run_process(
            COMMAND, stdin=subprocess.DEVNULL, capture_stdout=True, env=environment(), check=False
        )
    assert (done.returncode, done.stdout) == (0, b"")


async def test_a_socket_may_be_the_wire() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = await trio.lowlevel.open_process(
            COMMAND, stdin=theirs.fileno(), stdout=theirs.fileno(), env=environment()
        )
        theirs.close()
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        with trio.fail_after(30):
            await stream.send_all(b'{"id":1,"method":"no/such"}\n')
            assert b"-32601" in await stream.receive_some()
            await stream.send_eof()
            assert await process.wait() == 0


async def test_a_launcher_that_ignores_signals_does_not_make_the_daemon_deaf() -> None:
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    async with launch(wrapper=[sys.executable, "-c", ignoring]) as client:
        client.kill(signal.SIGTERM)
        assert await client.until_gone() == 0
