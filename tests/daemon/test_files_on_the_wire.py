"""``fs/*`` through the daemon: the shape of answers and errors, order, a file system that hangs, large files."""

import base64
import errno
import os
from pathlib import Path

import pytest
import trio

from tests.daemon.raw import running_daemon


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def peak_rss(pid: int) -> int:
    """The most memory that a process ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) << 10


async def test_a_patch_is_applied_as_codex_applies_it(tmp_path: Path) -> None:
    async with running_daemon() as daemon:
        uri = f"file://{tmp_path}"
        missing = await daemon.error("fs/getMetadata", path=f"{uri}/deep/er/file", sandbox=None)
        assert missing == {
            "code": -32004,
            "message": "No such file or directory (os error 2)",
            "data": {"kind": "notFound", "errno": errno.ENOENT},
        }
        content = {"path": f"{uri}/deep/er/file", "dataBase64": b64(b"new\n"), "sandbox": None}
        assert (await daemon.error("fs/writeFile", **content))["code"] == -32004
        assert await daemon.call("fs/createDirectory", path=f"{uri}/deep/er", recursive=True, sandbox=None) == {}
        assert await daemon.call("fs/writeFile", **content) == {}
        read = await daemon.call("fs/readFile", path=f"{uri}/deep/er/file", sandbox=None)
        assert read == {"dataBase64": b64(b"new\n")}
        metadata = await daemon.call("fs/getMetadata", path=f"{uri}/deep/er/file", sandbox=None)
        assert (metadata["isFile"], metadata["size"], len(metadata)) == (True, 4, 6)
        remove = {"path": f"{uri}/deep/er/file", "recursive": False, "force": False, "sandbox": None}
        assert await daemon.call("fs/remove", **remove) == {}
        assert os.listdir(tmp_path / "deep" / "er") == []


async def test_what_is_asked_under_one_handle_is_done_in_order_without_waiting_for_answers(tmp_path: Path) -> None:
    content = os.urandom(500)
    async with running_daemon() as daemon:
        asked = [await daemon.post("fs/open", path=str(tmp_path / "new"), handleId="w", mode="replace")]
        asked += [
            await daemon.post("fs/writeBlock", handleId="w", offset=at, chunk=b64(content[at:]))
            for at in range(0, 500, 5)
        ]
        asked.append(await daemon.post("fs/close", handleId="w"))
        asked.append(await daemon.post("fs/open", path=str(tmp_path / "new"), handleId="w"))
        assert ["result" in await daemon.answer(request) for request in asked[:-1]] == [True] * (len(asked) - 1)
        await daemon.answer(asked[-1])
        assert (tmp_path / "new").read_bytes() == content


async def test_a_replacement_that_is_open_at_the_end_is_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    async with running_daemon() as daemon:
        await daemon.call("fs/open", path=str(tmp_path / "file"), handleId="w", mode="replace")
        await daemon.call("fs/writeBlock", handleId="w", offset=0, chunk=b64(b"half"))
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


async def test_a_killed_daemon_leaves_no_half_of_a_file_and_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    async with running_daemon() as daemon:
        await daemon.call("fs/open", path=str(tmp_path / "file"), handleId="w", mode="replace")
        await daemon.call("fs/writeBlock", handleId="w", offset=0, chunk=b64(b"half"))
        daemon.process.kill()
        await daemon.process.wait()
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


# Stands for a mount whose server has gone: whoever looks at what is on it waits for ever.
DEAD_MOUNT = """
import os, threading
stat = os.stat
def hanging_stat(path, *args, **options):
    if isinstance(path, str) and path.startswith("/dead/"):
        threading.Event().wait()
    return stat(path, *args, **options)
os.stat = hanging_stat
"""


async def test_a_file_system_that_hangs_delays_nobody_and_not_the_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"alive")
    async with running_daemon(prelude=DEAD_MOUNT) as daemon:
        for number in range(200):
            await daemon.post("fs/getMetadata", path=f"/dead/{number}")
        assert await daemon.call("ping") == {}
        for _ in range(3):
            assert await daemon.call("fs/readFile", path=str(tmp_path / "file")) == {"dataBase64": b64(b"alive")}
        await daemon.call("process/start", processId="p", argv=["echo", "alive"])
        pushed = [await daemon.push() for _ in range(3)]
        assert [push["method"] for push in pushed] == ["process/output", "process/exited", "process/closed"]
        assert await daemon.end() == 0


async def test_what_would_block_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    async with running_daemon() as daemon:
        read = await daemon.error("fs/readFile", path=str(tmp_path / "fifo"))
        assert (read["code"], read["data"]) == (-32600, {"kind": "notARegularFile"})
        written = await daemon.error("fs/writeFile", path=str(tmp_path / "fifo"), dataBase64=b64(b"x"))
        assert (written["code"], written["data"]) == (-32603, {"kind": "ioError", "errno": errno.ENXIO})


async def test_confinement_is_refused(tmp_path: Path) -> None:
    sandbox = {"permissions": {"type": "managed", "file_system": {"type": "restricted"}, "network": "restricted"}}
    async with running_daemon() as daemon:
        for method, params in (("fs/writeFile", {"dataBase64": ""}), ("fs/createDirectory", {}), ("fs/remove", {})):
            error = await daemon.error(method, path=str(tmp_path / "new"), sandbox=sandbox, **params)
            assert (error["code"], error["data"]["kind"]) == (-32602, "sandboxUnavailable")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("way", ["in", "out"])
async def test_a_hundred_megabytes_go_in_and_out_in_less_than_three_copies(tmp_path: Path, way: str) -> None:
    size = 100 << 20
    content = os.urandom(1 << 20) * (size >> 20)
    if way == "out":
        (tmp_path / "file").write_bytes(content)
    async with running_daemon("--max-line-bytes", str(2 * size)) as daemon:
        await daemon.call("fs/getMetadata", path=str(tmp_path))
        before = peak_rss(daemon.pid)
        with trio.fail_after(60):
            if way == "in":
                await daemon.call("fs/writeFile", path=str(tmp_path / "file"), dataBase64=b64(content))
                assert (tmp_path / "file").read_bytes() == content
            else:
                read = await daemon.call("fs/readFile", path=str(tmp_path / "file"))
                assert base64.b64decode(read["dataBase64"]) == content
        assert peak_rss(daemon.pid) - before < 3 * size
