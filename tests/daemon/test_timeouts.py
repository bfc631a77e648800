"""timeoutMs and idleTimeoutMs: protocol, section 2."""

import pytest

from tests import kernel
from tests.daemon.wire_client import Client

modes = pytest.mark.parametrize("tty", [False, True], ids=["pipes", "tty"])


@modes
async def test_a_timeout_stops_the_group_and_keeps_what_was_captured(client: Client, tty: bool) -> None:
    await client.sh("p", "echo captured; sleep 1000 & exec sleep 1000", timeoutMs=300, tty=tty)
    life = await client.until_closed("p")
    assert (life.exit["reason"], life.exit["signal"], life.exit["exitCode"]) == ("timeout", "SIGTERM", 143)
    assert life.before_exit("pty" if tty else "stdout").strip() == b"captured"
    assert life.exit["durationMs"] >= 280
    page = await client.read("p")
    assert len(page["chunks"]) >= 1


async def test_a_child_that_ignores_the_timeout_is_killed_after_the_grace(client: Client) -> None:
    pid = (await client.child("p", "forks_a_family.sh", timeoutMs=300))["pid"]
    life = await client.until_closed("p")
    assert (life.exit["reason"], life.exit["signal"]) == ("timeout", "SIGKILL")
    assert life.exit["durationMs"] >= 2280
    await kernel.settled(lambda: not kernel.members(pid), "an empty group")


async def test_a_trap_of_a_timed_out_child_runs(client: Client) -> None:
    await client.child("p", "traps_term.sh", timeoutMs=500)
    life = await client.until_closed("p")
    assert (life.exit["reason"], life.exit["exitCode"], life.exit["signal"]) == ("timeout", 7, None)
    assert life.stdout == b"ready\ntrapped\n"


async def test_a_timeout_of_zero_is_no_licence_to_live(client: Client) -> None:
    await client.start("p", ["sleep", "1000"], timeoutMs=0)
    assert (await client.until_closed("p")).exit["reason"] == "timeout"


async def test_a_process_that_is_faster_than_its_timeout_ends_by_itself(client: Client) -> None:
    life = await client.run("p", ["echo", "fast"], timeoutMs=3_600_000, idleTimeoutMs=3_600_000)
    assert (life.exit["reason"], life.stdout) == ("exit", b"fast\n")


async def test_a_descendant_after_the_exit_is_none_of_the_timeouts_business(client: Client) -> None:
    await client.child("p", "leaves_holder.sh", timeoutMs=60_000)
    life = await client.until_exited("p")
    assert life.exit["reason"] == "exit"
    await client.terminate("p", graceMs=0)
    await client.until_closed("p")


@modes
async def test_silence_is_ended_by_the_idle_timeout(client: Client, tty: bool) -> None:
    await client.sh("p", "echo captured; exec sleep 1000", idleTimeoutMs=300, tty=tty)
    life = await client.until_closed("p")
    assert (life.exit["reason"], life.exit["signal"]) == ("idleTimeout", "SIGTERM")
    assert life.before_exit("pty" if tty else "stdout").strip() == b"captured"


async def test_output_on_either_stream_begins_the_idle_time_anew(client: Client) -> None:
    script = "n=0; while [ $n -lt 10 ]; do echo $n >&$((1 + n % 2)); sleep 0.2; n=$((n+1)); done; exec sleep 1000"
    await client.sh("p", script, idleTimeoutMs=1500)
    life = await client.until_closed("p")
    assert life.exit["reason"] == "idleTimeout"
    assert (life.stdout, life.stderr) == (b"0\n2\n4\n6\n8\n", b"1\n3\n5\n7\n9\n")
    assert life.exit["durationMs"] >= 1800 + 1480


async def test_the_timeout_is_told_from_the_idle_timeout(client: Client) -> None:
    await client.sh("p", "while :; do echo x; sleep 0.05; done", timeoutMs=500, idleTimeoutMs=60_000)
    assert (await client.until_closed("p")).exit["reason"] == "timeout"
    await client.start("q", ["sleep", "1000"], timeoutMs=60_000, idleTimeoutMs=200)
    assert (await client.until_closed("q")).exit["reason"] == "idleTimeout"


async def test_a_timed_out_process_whose_child_holds_the_pipe_still_closes(client: Client) -> None:
    await client.sh("p", "trap '' TERM; sleep 1000 & exec sleep 1000", timeoutMs=200)
    life = await client.until_closed("p")
    assert life.exit["reason"] == "timeout"


async def test_a_stopped_child_is_no_way_round_a_timeout(client: Client) -> None:
    await client.child("p", "stops_itself.sh", timeoutMs=300)
    assert (await client.until_closed("p")).exit["reason"] == "timeout"
