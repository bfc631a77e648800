"""The wire over real descriptors: pipes, sockets, files, and how it is taken off 0 and 1."""

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from execserver.server.stdio import READ_BYTES, StdioWire
from tests.kernel import nothing_left

SECONDS = 20

TAKES_THE_WIRE = """
import os, subprocess, sys, trio
from execserver.server.stdio import take_wire
async def serve():
    with take_wire() as wire:
        print("a stray print", flush=True)
        os.write(1, b"a stray write\\n")
        subprocess.run(["sh", "-c", "echo a stray child; cat"])
        data = await wire.receive()
        assert wire.write(b"answer to " + data) == len(data) + 10
        assert (await wire.receive(), sys.stdin.read()) == (b"", "")
trio.run(serve)
"""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with nothing_left(), ExitStack() as stack:
        yield stack


class Ends:
    """Both ends of a wire: ``theirs`` are the client's."""

    def __init__(self, stack: ExitStack) -> None:
        reading, self.their_input = os.pipe()
        self.their_output, writing = os.pipe()
        for fd in (reading, writing):
            os.set_blocking(fd, False)
        self.wire = StdioWire(reading, writing)
        self._open = {reading, writing, self.their_input, self.their_output}
        stack.callback(self._close_all)

    def _close_all(self) -> None:
        for fd in self._open:
            os.close(fd)

    def close(self, fd: int) -> None:
        self._open.discard(fd)
        os.close(fd)


async def test_what_arrives_is_received_and_then_the_end(stack: ExitStack) -> None:
    ends = Ends(stack)
    received: list[bytes] = []

    async def receive() -> None:
        while data := await ends.wire.receive():
            received.append(data)

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            for data in (b"one\n", b"two\n"):
                await wait_all_tasks_blocked()
                os.write(ends.their_input, data)
            await wait_all_tasks_blocked()
            ends.close(ends.their_input)
    assert received == [b"one\n", b"two\n"]


async def test_a_write_takes_what_fits_and_refuses_the_rest(stack: ExitStack) -> None:
    ends = Ends(stack)
    size = 0
    with trio.fail_after(SECONDS):
        while True:
            await ends.wire.wait_writable()
            size += ends.wire.write(b"x" * 100_000)
            try:
                size += ends.wire.write(b"x" * 100_000)
            except BlockingIOError:
                break
        assert size > 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ends.wire.wait_writable)
            await wait_all_tasks_blocked()
            os.read(ends.their_output, size)


async def test_a_client_that_went_is_told_and_only_then(stack: ExitStack) -> None:
    ends = Ends(stack)
    gone = trio.Event()

    async def wait() -> None:
        await ends.wire.wait_gone()
        gone.set()

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            ends.wire.write(b"x")
            os.read(ends.their_output, 1)
            await wait_all_tasks_blocked()
            assert not gone.is_set()
            ends.close(ends.their_output)
            await gone.wait()
    with pytest.raises(BrokenPipeError):
        ends.wire.write(b"x")


async def test_input_that_cannot_be_read_any_more_has_ended(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read(fd: int, size: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    ends = Ends(stack)
    os.write(ends.their_input, b"x")
    with monkeypatch.context() as patched, trio.fail_after(SECONDS):
        patched.setattr("execserver.server.stdio.os.read", read)
        assert await ends.wire.receive() == b""
    assert "Input/output error" in caplog.text


async def test_the_end_of_input_is_seen_behind_what_was_not_read(stack: ExitStack) -> None:
    ends = Ends(stack)
    os.write(ends.their_input, b"x")
    assert not ends.wire.input_has_ended()
    ends.close(ends.their_input)
    assert ends.wire.input_has_ended()


async def test_over_a_socket_it_is_the_same(stack: ExitStack) -> None:
    ours, theirs = socket.socketpair()
    stack.callback(ours.close)
    stack.callback(theirs.close)
    ours.setblocking(False)
    wire = StdioWire(ours.fileno(), ours.fileno())
    with trio.fail_after(SECONDS):
        theirs.sendall(b"x" * READ_BYTES * 2)
        received = 0
        while received < READ_BYTES * 2:
            received += len(await wire.receive())
        wire.write(b"answer")
        assert theirs.recv(100) == b"answer"
        theirs.shutdown(socket.SHUT_WR)
        assert wire.input_has_ended()
        assert await wire.receive() == b""


async def test_a_reset_of_a_socket_is_its_end(stack: ExitStack) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    theirs = socket.create_connection(listener.getsockname())
    ours, _ = listener.accept()
    for each in (listener, theirs, ours):
        stack.callback(each.close)
    ours.setblocking(False)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    theirs.close()  # with a reset
    with trio.fail_after(SECONDS):
        assert await StdioWire(ours.fileno(), ours.fileno()).receive() == b""


async def test_regular_files_are_read_to_their_end_and_nobody_can_go(stack: ExitStack, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"line\n")
    reading = os.open(tmp_path / "in", os.O_RDONLY)
    writing = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    stack.callback(os.close, reading)
    stack.callback(os.close, writing)
    wire = StdioWire(reading, writing)
    with trio.fail_after(SECONDS):
        assert [await wire.receive(), await wire.receive()] == [b"line\n", b""]
        assert wire.write(b"answer") == 6
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.wait_gone)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert (tmp_path / "out").read_bytes() == b"answer"


def test_taken_off_0_and_1_nothing_else_can_reach_the_wire_and_it_is_given_back(stack: ExitStack) -> None:
    output, writing = os.pipe()
    reading, feed = os.pipe()
    for fd in (output, writing, reading):
        stack.callback(os.close, fd)
    with subprocess.Popen(
        [sys.executable, "-c", TAKES_THE_WIRE],
        stdin=reading,
        stdout=writing,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:
        os.write(feed, b"data")
        os.close(feed)
        _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said.decode()
    assert os.read(output, 1000) == b"answer to data"
    assert said == b"a stray print\na stray write\na stray child\n"
    assert os.get_blocking(writing)
    assert os.get_blocking(reading)
