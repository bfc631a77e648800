"""process/list and process/release: protocol, section 4."""

import os
import time

from tests.daemon.wire_client import Client

MEMBERS = {
    "processId",
    "pid",
    "argv",
    "cwd",
    "tty",
    "state",
    "startedAtMs",
    "exitCode",
    "signal",
    "nextSeq",
    "retainedBytes",
    "metadata",
}


async def listed(client: Client) -> dict[str, dict[str, object]]:
    return {one["processId"]: one for one in (await client.request("process/list"))["processes"]}


async def test_an_empty_daemon_lists_nothing(client: Client) -> None:
    assert await client.request("process/list") == {"processes": []}


async def test_every_state_of_a_process_is_listed(client: Client) -> None:
    before = time.time() * 1000
    pid = (await client.sh("p", "echo hello; read x; sleep 1000 & exit 3", pipeStdin=True, cwd="/tmp"))["pid"]
    await client.until_output("p", b"hello\n")
    shown = (await listed(client))["p"]
    assert set(shown) >= MEMBERS
    assert (shown["pid"], shown["tty"], shown["state"]) == (pid, False, "running")
    assert (shown["argv"][:2], shown["exitCode"], shown["signal"]) == (["/bin/sh", "-c"], None, None)  # type: ignore[index]
    assert str(shown["cwd"]).removeprefix("file://") == "/tmp"
    assert (shown["nextSeq"], shown["retainedBytes"]) == (2, 6)
    assert isinstance(shown["startedAtMs"], int)
    assert before - 2000 <= shown["startedAtMs"] <= time.time() * 1000 + 2000
    await client.write("p", b"\n")
    await client.until_exited("p")
    shown = (await listed(client))["p"]
    assert (shown["state"], shown["exitCode"], shown["nextSeq"]) == ("exited", 3, 3)
    await client.terminate("p", graceMs=0)
    await client.until_closed("p")
    shown = (await listed(client))["p"]
    assert (shown["state"], shown["exitCode"], shown["nextSeq"], shown["retainedBytes"]) == ("closed", 3, 4, 6)


async def test_the_signal_that_ended_a_process_is_listed(client: Client) -> None:
    await client.run("p", ["sh", "-c", "kill -KILL $$"])
    shown = (await listed(client))["p"]
    assert (shown["exitCode"], shown["signal"]) == (137, "SIGKILL")


async def test_a_terminal_is_listed_as_one(client: Client) -> None:
    await client.start("p", ["sleep", "1000"], tty=True)
    assert (await listed(client))["p"]["tty"] is True
    await client.terminate("p")
    await client.until_closed("p")


async def test_a_released_process_is_forgotten_and_its_id_free(client: Client) -> None:
    await client.run("p", ["echo", "first"])
    assert await client.request("process/release", processId="p") == {"released": True}
    assert await listed(client) == {}
    assert (await client.refused("process/read", processId="p")).code == -32600
    assert await client.write("p", b"x") == "unknownProcess"
    assert await client.request("process/release", processId="p") == {"released": False}
    assert (await client.run("p", ["echo", "second"])).stdout == b"second\n"


async def test_a_running_or_exited_process_is_not_released(client: Client) -> None:
    await client.sh("p", "sleep 1000 & read x", pipeStdin=True)
    assert await client.request("process/release", processId="p") == {"released": False}
    await client.write("p", b"\n")
    await client.until_exited("p")
    assert await client.request("process/release", processId="p") == {"released": False}
    assert (await listed(client))["p"]["state"] == "exited"
    await client.terminate("p", graceMs=0)
    await client.until_closed("p")
    assert await client.request("process/release", processId="p") == {"released": True}


async def test_an_unknown_process_is_not_released(client: Client) -> None:
    assert await client.request("process/release", processId="nobody") == {"released": False}


async def test_an_id_may_be_used_a_hundred_times(client: Client) -> None:
    descriptors = 0
    for n in range(100):
        life = await client.run("p", ["echo", str(n)])
        assert life.stdout == b"%d\n" % n
        assert await client.request("process/release", processId="p") == {"released": True}
        if n == 10:
            descriptors = len(os.listdir(f"/proc/{client.pid}/fd"))
    assert len(os.listdir(f"/proc/{client.pid}/fd")) <= descriptors
    assert await listed(client) == {}
