"""A daemon is right however it was launched: with little allowed, with signals set, with nothing open."""

import sys
from pathlib import Path

import pytest

from tests.daemon.launching import launch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits are read from /proc")


def given_limit(pid: int) -> list[str]:
    """The soft limit of open descriptors of a process, and the hard one."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line for line in lines if line.startswith("Max open files")).split()[3:5]


async def test_more_processes_run_than_the_soft_limit_of_descriptors_has_room_for() -> None:
    wrapper = ["sh", "-c", 'ulimit -S -n 64; exec "$@"', "sh"]
    async with launch(wrapper=wrapper) as client:
        hard = given_limit(client.pid)[1]
        for number in range(50):  # of three descriptors each
            started = await client.start(f"p{number}", ["sleep", "1000"])
            assert given_limit(started["pid"]) == ["64", hard]
        client.survivors_allowed = True  # the end of the session stops them
