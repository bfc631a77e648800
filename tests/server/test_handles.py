"""Files by blocks, under handles of the client's. The limits and the words are the reference server's."""

import base64
import errno
import os
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from execserver.server import open_file
from execserver.server.eager import WAITING, begin, finish
from execserver.server.files import Files
from execserver.wire.errors import INTERNAL_ERROR, INVALID_REQUEST, NOT_FOUND, Fault
from execserver.wire.files import CloseParams, OpenParams, ReadBlockParams, WriteBlockParams
from tests.server.fs_calls import FileCalls, b64


@pytest.fixture
async def files() -> AsyncIterator[Files]:
    before = set(os.listdir("/proc/self/fd"))
    files = Files()
    yield files
    await files.aclose()
    assert set(os.listdir("/proc/self/fd")) <= before


@pytest.fixture
def call(files: Files) -> FileCalls:
    return FileCalls(files)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"hello world")
    path.chmod(0o741)
    return path


# Reading


async def test_blocks_are_read_in_any_order_and_only_a_short_one_is_the_end(call: FileCalls, path: Path) -> None:
    assert await call("open", path=path, handleId="h") == {"handleId": "h"}
    for offset, length, block in (
        (6, 100, b"world"),
        (0, 5, b"hello"),
        (0, 11, b"hello world"),
        (11, 1, b""),
        (2**53, 1, b""),
        (10, 1, b"d"),
    ):
        read = await call("readBlock", handleId="h", offset=offset, len=length)
        assert read == {"chunk": b64(block), "eof": len(block) < length}


async def test_a_file_that_claims_no_size_is_read_by_whole_blocks(call: FileCalls) -> None:
    content = Path("/proc/kallsyms").read_bytes()[:200_000]  # its reads end at a page, however much is asked for
    await call("open", path="/proc/kallsyms", handleId="h", mode="read")
    read = await call("readBlock", handleId="h", offset=0, len=200_000)
    assert base64.b64decode(read["chunk"]) == content


@pytest.mark.parametrize("length", [0, (1 << 20) + 1])
async def test_a_block_is_1_byte_to_1_mib(call: FileCalls, path: Path, length: int) -> None:
    await call("open", path=path, handleId="h", mode="read")
    fault = await call.fault("readBlock", handleId="h", offset=0, len=length)
    assert (fault.code, fault.kind) == (INVALID_REQUEST, "invalidArgument")
    assert fault.message == "file read block length must be between 1 and 1048576"
    await call("open", path=path, handleId="w", mode="replace")
    fault = await call.fault("writeBlock", handleId="w", offset=0, chunk=b64(b"x" * length))
    assert fault.message == "file write block length must be between 1 and 1048576"
    assert len((await call("readBlock", handleId="h", offset=0, len=1 << 20))["chunk"]) == 16  # both handles live
    await call("writeBlock", handleId="w", offset=0, chunk=b64(b"x" * (1 << 20)))


async def test_what_is_no_regular_file_is_not_opened(call: FileCalls, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", "."):
        fault = await call.fault("open", path=f"{tmp_path}/{name}", handleId="h", mode="read")
        assert (fault.code, fault.kind) == (INVALID_REQUEST, "notARegularFile")
    assert (await call.fault("open", path=tmp_path / "missing", handleId="h", mode="read")).code == NOT_FOUND
    # None of them has taken the id.
    assert await call("open", path="/proc/self/maps", handleId="h", mode="read") == {"handleId": "h"}


# Handles


async def test_an_unknown_handle_is_minus_32004(call: FileCalls) -> None:
    for fault in (
        await call.fault("readBlock", handleId="X", offset=0, len=1),
        await call.fault("writeBlock", handleId="X", offset=0, chunk=b64(b"x")),
    ):
        assert (fault.code, fault.kind, fault.message) == (NOT_FOUND, "unknownHandle", "unknown file handle `X`")


async def test_close_is_idempotent_and_frees_the_id(call: FileCalls, path: Path) -> None:
    assert await call("close", handleId="h") == {}
    for _ in range(2):
        await call("open", path=path, handleId="h")
        assert await call("close", handleId="h") == {}
        assert await call("close", handleId="h") == {}
        assert (await call.fault("readBlock", handleId="h", offset=0, len=1)).kind == "unknownHandle"


async def test_an_id_is_taken_once(call: FileCalls, path: Path) -> None:
    await call("open", path=path, handleId="h")
    fault = await call.fault("open", path=path, handleId="h")
    assert (fault.code, fault.message) == (INVALID_REQUEST, "file handle `h` already exists")
    assert (await call("readBlock", handleId="h", offset=0, len=5))["chunk"] == b64(b"hello")


async def test_an_id_is_at_most_32_bytes_long(call: FileCalls, path: Path) -> None:
    await call("open", path=path, handleId="é" * 16)
    fault = await call.fault("open", path=path, handleId="é" * 16 + "x")
    assert (fault.code, fault.message) == (INVALID_REQUEST, "file handle ID must not exceed 32 bytes")


async def test_at_most_128_handles_are_open(call: FileCalls, path: Path) -> None:
    for number in range(128):
        await call("open", path=path, handleId=f"{number}")
    fault = await call.fault("open", path=path, handleId="one more")
    assert (fault.code, fault.kind) == (INVALID_REQUEST, "resourceExhausted")
    assert fault.message == "at most 128 file handles may be open per connection"
    await call("close", handleId="7")
    await call("open", path=path, handleId="one more")


# Replacing


async def test_a_replacement_takes_its_place_when_it_is_closed(call: FileCalls, path: Path) -> None:
    await call("open", path=path, handleId="w", mode="replace")
    await call("writeBlock", handleId="w", offset=10, chunk=b64(b"far"))
    await call("writeBlock", handleId="w", offset=0, chunk=b64(b"near"))
    assert path.read_bytes() == b"hello world"
    await call("close", handleId="w")
    assert path.read_bytes() == b"near\0\0\0\0\0\0far"
    assert path.stat().st_mode & 0o7777 == 0o741
    assert os.listdir(path.parent) == ["file"]


async def test_a_new_file_appears_when_it_is_closed_even_an_empty_one(call: FileCalls, tmp_path: Path) -> None:
    await call("open", path=tmp_path / "new", handleId="w", mode="replace")
    assert os.listdir(tmp_path) == []
    await call("close", handleId="w")
    assert (tmp_path / "new").read_bytes() == b""


async def test_what_cannot_be_replaced_is_refused_when_it_is_opened(call: FileCalls, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name, code, number in (
        ("missing/new", NOT_FOUND, errno.ENOENT),
        ("", INTERNAL_ERROR, errno.EISDIR),
        ("fifo", INTERNAL_ERROR, errno.ENXIO),
    ):
        fault = await call.fault("open", path=f"{tmp_path}/{name}", handleId="w", mode="replace")
        assert (fault.code, fault.errno) == (code, number)


async def test_a_replacement_is_not_read_and_a_reader_not_written(call: FileCalls, path: Path) -> None:
    await call("open", path=path, handleId="r")
    await call("open", path=path, handleId="w", mode="replace")
    for fault in (
        await call.fault("writeBlock", handleId="r", offset=0, chunk=b64(b"x")),
        await call.fault("readBlock", handleId="w", offset=0, len=1),
    ):
        assert (fault.code, fault.errno) == (INTERNAL_ERROR, errno.EBADF)


async def test_after_a_failed_write_the_old_content_stays_whatever_is_closed(
    call: FileCalls, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await call("open", path=path, handleId="w", mode="replace")
    await call("writeBlock", handleId="w", offset=0, chunk=b64(b"half"))

    def no_space(*args: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(open_file, "write_at", no_space)
        assert (await call.fault("writeBlock", handleId="w", offset=4, chunk=b64(b"x"))).kind == "noSpace"
    assert (await call.fault("writeBlock", handleId="w", offset=4, chunk=b64(b"x"))).kind == "unknownHandle"
    await call("close", handleId="w")
    assert path.read_bytes() == b"hello world"
    assert os.listdir(path.parent) == ["file"]


# Order, and the end


async def test_what_is_asked_of_a_handle_is_done_in_the_order_of_the_lines(files: Files, tmp_path: Path) -> None:
    content = os.urandom(64)
    path = tmp_path / "new"
    async with trio.open_nursery() as tasks:

        async def rest(coroutine: Any) -> None:
            await finish(coroutine)

        def line(name: str, params: Any) -> None:
            """Begin a handler as the reader does: by hand, and then in a task if it waits."""
            coroutine: Any = files.methods[name].handle(params)
            assert begin(coroutine) is WAITING
            tasks.start_soon(rest, coroutine)

        for _ in range(5):
            line("fs/open", OpenParams(path=str(path), handle_id="w", mode="replace"))
            for index in range(64):
                line("fs/writeBlock", WriteBlockParams("w", index, content[index:]))
            line("fs/close", CloseParams("w"))  # and the id is free for the next line
    assert path.read_bytes() == content


async def test_what_was_asked_after_a_failure_finds_no_handle(files: Files, path: Path) -> None:
    answers: list[str] = []
    async with trio.open_nursery() as tasks:

        async def rest(coroutine: Any) -> None:
            try:
                await finish(coroutine)
                answers.append("done")
            except Fault as fault:
                answers.append(fault.kind)

        for name, params in (
            ("fs/open", OpenParams(path=str(path), handle_id="r")),
            ("fs/writeBlock", WriteBlockParams("r", 0, b"refused")),
            ("fs/readBlock", ReadBlockParams("r", 0, 1)),
            ("fs/close", CloseParams("r")),
        ):
            coroutine: Any = files.methods[name].handle(params)
            assert begin(coroutine) is WAITING
            tasks.start_soon(rest, coroutine)
    assert answers == ["done", "ioError", "unknownHandle", "done"]


async def test_at_the_end_replacements_are_thrown_away(path: Path) -> None:
    files = Files()
    call = FileCalls(files)
    await call("open", path=path, handleId="w", mode="replace")
    await call("writeBlock", handleId="w", offset=0, chunk=b64(b"half"))
    await call("open", path=path, handleId="r")
    before = len(os.listdir("/proc/self/fd"))
    await files.aclose()
    assert len(os.listdir("/proc/self/fd")) == before - 2
    assert path.read_bytes() == b"hello world"
    assert os.listdir(path.parent) == ["file"]


async def test_a_read_that_hangs_does_not_hang_the_end_and_keeps_its_descriptor_until_it_is_done(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, wake, closed = trio.Event(), threading.Event(), threading.Event()
    real_pread, real_close = os.pread, os.close
    read_after_the_end = []

    def hanging_pread(fd: int, length: int, offset: int) -> bytes:
        trio.from_thread.run_sync(reading.set)
        wake.wait(5)
        read_after_the_end.append(os.fstat(fd).st_size)
        return real_pread(fd, length, offset)

    def close(fd: int) -> None:
        real_close(fd)
        if read_after_the_end:
            closed.set()

    files = Files()
    call = FileCalls(files)
    await call("open", path=path, handleId="h")
    monkeypatch.setattr(os, "pread", hanging_pread)
    monkeypatch.setattr(os, "close", close)
    with trio.fail_after(5):
        async with trio.open_nursery() as tasks:
            tasks.start_soon(partial(call, "readBlock", handleId="h", offset=0, len=5))
            await reading.wait()
            tasks.cancel_scope.cancel()
        await files.aclose()
        wake.set()
        await trio.to_thread.run_sync(closed.wait, 5)  # for the thread that nobody waits for
    assert closed.is_set()
    assert read_after_the_end == [11]
