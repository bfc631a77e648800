"""Three hundred lives ended at random instants: nothing is left alive, no descriptor, one exit and one close each.

The seed is printed with a failure; EXECSERVER_TEST_SEED repeats it.
"""

import os
import random
import signal

import pytest
import trio

from tests.daemon.launching import launch
from tests.daemon.wire_client import Client

SEED = int(os.environ.get("EXECSERVER_TEST_SEED", "20240607"))
LIVES = 300
PER_DAEMON = 25
WAYS = ["EOF", "terminate", "SIGTERM", "SIGKILL"]

PROGRAMS: list[list[str]] = [
    ["sleep", "1000"],
    ["cat", "/dev/zero"],
    ["sh", "-c", "trap '' TERM; sleep 1000 & wait; sleep 1000"],
    ["sh", "-c", "echo out; echo err >&2; exec sleep 1000"],
    ["sh", "-c", "sleep 1000 & exit 3"],
    ["sh", "-c", "trap '' TERM HUP; sleep 1000 & exit 3"],
    ["sh", "-c", "yes & exit 4"],
    ["sh", "-c", "kill -STOP $$"],
    ["sh", "-c", "head -c 300000 /dev/zero; exit 5"],
    ["true"],
]
# These leave their group. A living daemon finds them as their subreaper; one that is killed promises only its groups.
FUGITIVES = [
    ["sh", "-c", "setsid sleep 1000 & wait"],
    ["sh", "-c", "(setsid sleep 1000 >/dev/null 2>&1 &) ; exit 0"],
]


async def live_and_be_ended(
    client: Client, name: str, starts: dict[str, int], programs: list[list[str]], dice: random.Random
) -> None:
    """Start a process; end it, or not, after a moment that may fall into its spawn, its output or its drain."""
    client.life(name).sink = lambda event: None
    options: dict[str, object] = {"tty": dice.random() < 0.3, "pipeStdin": dice.random() < 0.3}
    if dice.random() < 0.3:
        options["drainMs"] = dice.choice([0, 50, 500])
    how = dice.choice(["terminate", "kill", "timeout", "idle", "signal", "leave"])
    if how == "timeout":
        options["timeoutMs"] = dice.randrange(100)
    if how == "idle":
        options["idleTimeoutMs"] = dice.randrange(100)
    moment = dice.choice([0, 0, dice.random() * 0.01, dice.random() * 0.2])
    starts[name] = await client.begin("process/start", processId=name, argv=dice.choice(programs), **options)
    await trio.sleep(moment)
    if how == "terminate":
        await client.begin("process/terminate", processId=name, graceMs=dice.choice([0, 10, 100]))
    elif how == "kill":
        await client.begin("process/signal", processId=name, signal="KILL")
    elif how == "signal":
        await client.begin("process/signal", processId=name, signal=dice.choice(["INT", "TERM", "HUP", "STOP"]))
    if dice.random() < 0.5:
        await client.answer(starts[name])


async def end_at_random(way: str, dice: random.Random) -> None:
    """One daemon and its lives. Most of the time is spent waiting: for graces, for drains."""
    async with launch(exit_code=None if way == "SIGKILL" else 0) as client:
        client.survivors_allowed = True  # drains let go of descendants; the end of the daemon does not
        names = [f"p{n}" for n in range(PER_DAEMON)]
        starts: dict[str, int] = {}
        programs = PROGRAMS if way == "SIGKILL" else PROGRAMS + FUGITIVES
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(live_and_be_ended, client, name, starts, programs, random.Random(dice.random()))
        if way == "terminate":
            for name in names:
                await client.terminate(name, graceMs=dice.choice([0, 100]))
            for name in names:
                await client.until_closed(name)
        await trio.sleep(dice.random() * 0.1)
        if way == "SIGKILL":
            client.kill()
            await client.until_dead()
            return
        if way == "SIGTERM":
            client.kill(signal.SIGTERM)
        else:
            await client.close_stdin()
        await client.until_gone()
        begun = {name for name in names if client.answered(starts[name])}
        assert way == "SIGTERM" or begun == set(names), "what was sent before the end of file is served"
        # the client has judged that there is no second exit or close; here is that there is a first
        missing = [name for name in begun if not (client.lives[name].exited and client.lives[name].closed)]
        assert not missing, way


@pytest.mark.parametrize("number", range(LIVES // PER_DAEMON // len(WAYS)))
async def test_lives_ended_at_random_leave_nothing(number: int) -> None:
    print("EXECSERVER_TEST_SEED", SEED)
    async with trio.open_nursery() as nursery:
        for way in WAYS:
            nursery.start_soon(end_at_random, way, random.Random(f"{SEED} {way} {number}"))
    # that nothing is alive is for the fixture to see
