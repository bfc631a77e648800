"""process/signal and process/terminate: to the group, at once, and to nobody else: protocol, section 4."""

import pytest

from tests import kernel
from tests.daemon.wire_client import Client

modes = pytest.mark.parametrize("tty", [False, True], ids=["pipes", "tty"])


@modes
async def test_interrupt_ends_a_process_that_does_not_mind(client: Client, tty: bool) -> None:
    await client.sh("p", "echo ready; exec sleep 1000", tty=tty)
    await client.until_output("p", b"ready")
    assert (await client.request("process/signal", processId="p", signal="interrupt"))["delivered"] is True
    life = await client.until_closed("p")
    assert (life.exit["exitCode"], life.exit["signal"], life.exit["reason"]) == (130, "SIGINT", "signal")


@modes
async def test_signal_names_work_with_and_without_sig(client: Client, tty: bool) -> None:
    await client.child("p", "prints_every_signal.sh", tty=tty)
    await client.until_output("p", b"ready")
    for count, prefix in enumerate(("", "SIG"), 1):
        for name in ("HUP", "INT", "QUIT", "USR1", "USR2", "TERM", "CONT", "WINCH", "ALRM"):
            assert await client.request("process/signal", processId="p", signal=prefix + name) == {"delivered": True}
            await client.until_output("p", b"got " + name.encode(), times=count)
    await client.request("process/signal", processId="p", signal="KILL")
    assert (await client.until_closed("p")).exit["signal"] == "SIGKILL"


async def test_a_signal_reaches_the_whole_group(client: Client) -> None:
    await client.child("p", "forks_a_family.sh")
    await client.until_output("p", b"ready\n")
    pid = (await client.request("process/list"))["processes"][0]["pid"]
    await kernel.settled(lambda: len(kernel.members(pid)) >= 5, "five in the group")
    await client.request("process/signal", processId="p", signal="SIGKILL")
    await client.until_closed("p")
    await kernel.settled(lambda: not kernel.members(pid), "an empty group")


async def test_a_trap_runs_and_its_output_arrives(client: Client) -> None:
    await client.child("p", "traps_term.sh")
    await client.until_output("p", b"ready\n")
    await client.request("process/signal", processId="p", signal="TERM")
    life = await client.until_exited("p")
    assert (life.exit["exitCode"], life.exit["reason"]) == (7, "exit")
    assert life.before_exit() == b"ready\ntrapped\n"
    await client.terminate("p")
    await client.until_closed("p")


async def test_unknown_signal_names_are_bad_params(client: Client) -> None:
    await client.start("p", ["sleep", "1000"])
    names: list[object] = [
        "",
        "NONSENSE",
        "SIG",
        "SIGSIG",
        "SIGSIGTERM",
        "9",
        "0",
        9,
        None,
        "SIG_DFL",
        "SIG_BLOCK",
        " TERM",
    ]
    for name in names:
        error = await client.refused("process/signal", processId="p", signal=name)
        assert error.code == -32602, name
    await client.terminate("p")
    await client.until_closed("p")


async def test_a_signal_to_nobody_is_not_delivered(client: Client) -> None:
    assert await client.request("process/signal", processId="nobody", signal="TERM") == {"delivered": False}
    await client.run("p", ["true"])
    assert await client.request("process/signal", processId="p", signal="KILL") == {"delivered": False}


async def test_unknown_signal_names_are_bad_params_for_nobody_too(client: Client) -> None:
    assert (await client.refused("process/signal", processId="nobody", signal="NONSENSE")).code == -32602


async def test_signals_stop_and_wake_a_process(client: Client) -> None:
    pid = (await client.start("p", ["cat"], pipeStdin=True))["pid"]
    await client.request("process/signal", processId="p", signal="STOP")
    await kernel.settled(lambda: kernel.status(pid)["State"].startswith("T"), "a stopped cat")
    await client.write("p", b"while asleep")
    await client.ping()
    assert client.life("p").events == [], "a stopped child has not ended"
    await client.request("process/signal", processId="p", signal="SIGCONT")
    await client.until_output("p", b"while asleep")
    await client.terminate("p")
    await client.until_closed("p")


@modes
async def test_terminate_asks_first(client: Client, tty: bool) -> None:
    await client.child("p", "traps_term.sh", tty=tty)
    await client.until_output("p", b"ready")
    assert await client.terminate("p") == {"running": True}
    life = await client.until_closed("p")
    assert b"trapped" in life.before_exit("pty" if tty else "stdout")
    assert (life.exit["exitCode"], life.exit["signal"], life.exit["reason"]) == (7, None, "terminated")


@modes
async def test_a_child_that_ignores_sigterm_is_killed_after_the_grace(client: Client, tty: bool) -> None:
    await client.child("p", "ignores_term.sh", tty=tty)
    await client.until_output("p", b"ready")
    assert await client.terminate("p", graceMs=300) == {"running": True}
    life = await client.until_closed("p")
    assert (life.exit["exitCode"], life.exit["signal"], life.exit["reason"]) == (137, "SIGKILL", "terminated")
    assert life.exit["durationMs"] >= 280


async def test_the_default_grace_is_two_seconds(client: Client) -> None:
    await client.child("p", "ignores_term.sh")
    await client.until_output("p", b"ready")
    await client.terminate("p")
    life = await client.until_closed("p")
    assert life.exit["signal"] == "SIGKILL"
    assert life.exit["durationMs"] >= 1980


async def test_no_grace_kills_at_once(client: Client) -> None:
    await client.child("p", "traps_term.sh")
    await client.until_output("p", b"ready\n")
    assert await client.terminate("p", graceMs=0) == {"running": True}
    life = await client.until_closed("p")
    assert (life.exit["signal"], life.exit["reason"], life.stdout) == ("SIGKILL", "terminated", b"ready\n")


async def test_terminate_answers_at_once_and_delays_nobody(client: Client) -> None:
    await client.child("p", "ignores_term.sh")
    await client.until_output("p", b"ready")
    assert await client.terminate("p", graceMs=3_600_000) == {"running": True}
    await client.ping()
    assert client.life("p").exited is None
    assert await client.terminate("p", graceMs=0) == {"running": True}
    assert (await client.until_closed("p")).exit["signal"] == "SIGKILL"


async def test_terminate_again_and_again_is_harmless(client: Client) -> None:
    await client.child("p", "ignores_term.sh")
    await client.until_output("p", b"ready")
    for _ in range(20):
        await client.terminate("p", graceMs=200)
    life = await client.until_closed("p")
    assert life.exit["reason"] == "terminated"
    assert await client.terminate("p") == {"running": False}


async def test_a_stopped_child_dies_all_the_same(client: Client) -> None:
    pid = (await client.child("p", "stops_itself.sh"))["pid"]
    await client.until_output("p", b"ready\n")
    await kernel.settled(lambda: kernel.status(pid)["State"].startswith("T"), "a stopped child")
    assert await client.terminate("p", graceMs=200) == {"running": True}
    life = await client.until_closed("p")
    assert life.exit["reason"] == "terminated"
    assert life.exit["signal"] in ("SIGTERM", "SIGKILL")


async def test_terminate_ends_the_whole_group(client: Client) -> None:
    await client.child("p", "forks_a_family.sh")
    await client.until_output("p", b"ready\n")
    pid = (await client.request("process/list"))["processes"][0]["pid"]
    await client.terminate("p", graceMs=200)
    await client.until_closed("p")
    await kernel.settled(lambda: not kernel.members(pid), "an empty group")


async def test_terminate_of_an_unknown_or_closed_process_says_not_running(client: Client) -> None:
    assert await client.terminate("nobody") == {"running": False}
    await client.run("p", ["true"])
    assert await client.terminate("p") == {"running": False}
    assert (await client.read("p"))["exitCode"] == 0


async def test_terminate_spares_every_other_process(client: Client) -> None:
    for n in range(5):
        await client.start(f"p{n}", ["cat"], pipeStdin=True)
    await client.terminate("p2", graceMs=0)
    await client.until_closed("p2")
    for n in (0, 1, 3, 4):
        await client.write(f"p{n}", b"alive")
        await client.until_output(f"p{n}", b"alive")
        await client.terminate(f"p{n}")
        await client.until_closed(f"p{n}")


async def test_a_bad_grace_is_bad_params(client: Client) -> None:
    await client.start("p", ["sleep", "1000"])
    graces: list[object] = [-1, 1.5, "100", True, []]
    for grace in graces:
        assert (await client.refused("process/terminate", processId="p", graceMs=grace)).code == -32602, grace
    assert await client.terminate("p", graceMs=None) == {"running": True}
    await client.until_closed("p")


async def test_a_terminated_process_whose_pipe_is_full_still_closes(client: Client) -> None:
    """The child floods while the client does not read: the end must not wait for the reader's pleasure."""
    life = client.life("p")
    life.sink = lambda event: None
    await client.start("p", ["cat", "/dev/zero"])
    await client.until(lambda: life.totals["stdout"] > 100_000, "a flood")
    await client.terminate("p")
    await client.until_closed("p")
    assert (life.exit["reason"], life.exit["signal"]) == ("terminated", "SIGTERM")


async def test_the_reason_is_of_the_cause_and_not_of_the_signal(client: Client) -> None:
    """A process that ends by itself with SIGTERM was not terminated by anybody here."""
    life = await client.run("p", ["sh", "-c", "kill -TERM $$"])
    assert (life.exit["signal"], life.exit["reason"]) == ("SIGTERM", "signal")
