"""How a session ends, and the children that make it hard. Support for tests."""

import signal

import pytest

from tests.daemon.wire_client import Client

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
