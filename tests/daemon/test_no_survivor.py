"""Nothing outlives the daemon, whatever it fled to and however the daemon died: protocol, section 5."""

import pytest

from tests import kernel
from tests.daemon.launching import launch
from tests.daemon.ways_to_end import end, start_the_difficult, ways


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
