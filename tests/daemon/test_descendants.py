"""What is left when the leader has gone: late output, drains and why a process closed: protocol, section 3."""

from functools import partial
from pathlib import Path

from tests import kernel
from tests.daemon.launching import launch
from tests.daemon.wire_client import Client


async def test_late_output_of_a_descendant_follows_the_exit(client: Client, tmp_path: Path) -> None:
    await client.child("p", "leaves_late_writer.sh", str(tmp_path / "go"))
    life = await client.until_exited("p")
    assert (life.stdout, life.closed) == (b"own\n", None)
    (tmp_path / "go").write_text("")
    life = await client.until_closed("p")
    assert life.stdout == b"own\nlate\n"
    assert life.before_exit() == b"own\n"
    assert life.close["reason"] == "endOfFile"


async def test_a_drain_bounds_the_time_from_exit_to_close(client: Client) -> None:
    for drain in (0, 100):
        name = f"p{drain}"
        await client.child(name, "leaves_holder.sh", drainMs=drain)
        life = await client.until_closed(name)
        assert life.close["reason"] == "drainTimeout"
        assert life.exit["exitCode"] == 3
        holder = int(life.stdout.split()[1])
        assert kernel.alive(holder), "a drain ends the reading, not the descendants"
        assert (await client.read(name))["closed"] is True
        client.survivors_allowed = True


async def test_a_drain_that_is_not_needed_costs_nothing(client: Client) -> None:
    life = await client.run("p", ["echo", "hi"], drainMs=3_600_000)
    assert life.close["reason"] == "endOfFile"


async def test_output_within_the_drain_is_still_sent(client: Client, tmp_path: Path) -> None:
    await client.child("p", "leaves_late_writer.sh", str(tmp_path / "go"), drainMs=60_000)
    await client.until_exited("p")
    (tmp_path / "go").write_text("")
    life = await client.until_closed("p")
    assert (life.stdout, life.close["reason"]) == (b"own\nlate\n", "endOfFile")


async def test_an_endless_descendant_does_not_outlast_the_drain(client: Client) -> None:
    await client.child("p", "leaves_endless_writer.sh", drainMs=200)
    life = await client.until_closed("p")
    assert life.close["reason"] == "drainTimeout"
    client.survivors_allowed = True  # `yes` gets SIGPIPE when it next writes, or the end of the daemon


async def test_after_terminate_the_close_comes_though_a_fugitive_holds_the_pipe(client: Client) -> None:
    await client.sh("p", 'setsid sh -c "echo \\$\\$; exec sleep 1000" & wait')
    life = await client.until_output("p", b"\n")
    fugitive = int(life.stdout)
    await client.terminate("p")
    life = await client.until_closed("p")
    assert (life.exit["reason"], life.close["reason"]) == ("terminated", "drainTimeout")
    assert life.exit["signal"] == "SIGTERM"
    client.survivors_allowed = kernel.alive(fugitive)


async def test_after_a_timeout_the_close_comes_though_a_fugitive_holds_the_pipe(client: Client) -> None:
    await client.sh("p", "setsid sleep 1000 & echo started; wait", timeoutMs=300)
    life = await client.until_closed("p")
    assert (life.exit["reason"], life.close["reason"]) == ("timeout", "drainTimeout")
    client.survivors_allowed = True


async def test_after_a_process_has_closed_by_its_drain_its_group_is_ended_with_the_daemon() -> None:
    async with launch() as client:
        await client.child("p", "leaves_stubborn_holder.sh", drainMs=0)
        life = await client.until_closed("p")
        holder = int(life.stdout.split()[1])
        assert kernel.alive(holder)
        await client.close_stdin()
        assert await client.until_gone() == 0
        assert not kernel.alive(holder), "what is left of a group does not outlive the daemon"


async def test_terminate_after_the_leader_has_gone_ends_the_rest_of_its_group(client: Client) -> None:
    for name in ("leaves_holder.sh", "leaves_stubborn_holder.sh"):
        await client.child(name, name)
        life = await client.until_exited(name)
        holder = int(life.stdout.split()[1])
        assert kernel.alive(holder)
        assert await client.terminate(name, graceMs=100) == {"running": False}
        life = await client.until_closed(name)
        assert (life.exit["reason"], life.exit["exitCode"]) == ("exit", 3)
        await kernel.settled(partial(kernel.dead, holder), "the end of the holder")


async def test_groups_without_a_leader_that_follow_each_other_at_once_are_all_ended(client: Client) -> None:
    for n in range(20):
        await client.sh(f"p{n}", "sleep 1000 & exit 3")
        await client.until_exited(f"p{n}")
        await client.terminate(f"p{n}", graceMs=0)
        assert (await client.until_closed(f"p{n}")).close["reason"] == "endOfFile", n
    # that none of them is left is for the fixture to see


async def test_terminate_after_the_drain_has_closed_it_ends_the_rest_of_its_group_too(client: Client) -> None:
    for name in ("leaves_holder.sh", "leaves_stubborn_holder.sh"):
        await client.child(name, name, drainMs=0)
        life = await client.until_closed(name)
        assert life.close["reason"] == "drainTimeout"
        holder = int(life.stdout.split()[1])
        assert await client.terminate(name, graceMs=100) == {"running": False}
        await kernel.settled(partial(kernel.dead, holder), "the end of the holder", seconds=5)


async def test_a_background_child_of_a_terminal_delays_the_close_no_longer_than_the_drain(client: Client) -> None:
    """It survives the hang-up and holds the terminal open, so that there is no EIO before it ends."""
    await client.sh("p", "trap '' HUP; sleep 1000 & echo \"holder $!\"; exit 3", tty=True, drainMs=100)
    life = await client.until_closed("p")
    assert (life.exit["exitCode"], life.before_exit("pty").split()[0]) == (3, b"holder")
    client.survivors_allowed = True


async def test_a_background_child_that_dies_of_the_hang_up_does_not_delay_the_close(client: Client) -> None:
    await client.sh("p", 'sleep 1000 & echo "holder $!"; exit 3', tty=True)
    life = await client.until_closed("p")
    assert (life.exit["exitCode"], life.close["reason"]) == (3, "endOfFile")
    await kernel.settled(partial(kernel.dead, int(life.pty.split()[1])), "SIGHUP to the foreground group")


async def test_an_orphan_of_a_process_is_reaped_by_the_daemon_when_it_ends(client: Client) -> None:
    """The daemon is a subreaper: zombies of others are its to bury, and no status of its own children is lost."""
    for n in range(30):
        await client.sh(f"p{n}", "(true & true & exec true) & (sleep 0.05 &) ; exit 6")
    for n in range(30):
        assert (await client.until_closed(f"p{n}")).exit["exitCode"] == 6
    await kernel.settled(lambda: not any(one.zombie for one in kernel.descendants(client.pid)), "no zombie")
