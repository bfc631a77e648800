"""Real children as they live and end: their streams, their stdin, their group, their status."""

import os
import signal
import sys
import termios
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from execserver.server.child import CHUNK_BYTES
from execserver.server.pipes import OutputPipes
from execserver.server.posix_child import PosixChild, signal_name
from execserver.server.spawn import Command, spawn
from tests.kernel import nothing_left
from tests.support.real_child import SECONDS, ToldGuardian, ToldKin, command, ended, read_all, read_until, shell

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pidfds are Linux's")

TTY = (24, 80)
KIN = ToldKin()


def start(command: Command) -> PosixChild:
    return spawn(command, OutputPipes(), ToldGuardian(), KIN)


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    KIN.reaped.clear()
    with nothing_left():
        yield


# How it ends.


@pytest.mark.parametrize(
    ("script", "code", "name"),
    [
        ("exit 0", 0, None),
        ("exit 255", 255, None),
        ("kill -TERM $$", 143, "SIGTERM"),
        ("kill -KILL $$", 137, "SIGKILL"),
    ],
)
@pytest.mark.parametrize("size", [None, TTY])
async def test_its_status_is_told_as_a_shell_would(script: str, code: int, name: str | None, size: Any) -> None:
    child = start(shell(script, size=size))
    end = await ended(child)
    assert (end.exit_code, end.signal, end.core_dumped) == (code, name, False)
    assert KIN.reaped == [child.pid]


async def test_its_cost_is_its_own() -> None:
    end = await ended(start(shell("i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done")))
    assert 0.005 < end.user_seconds + end.system_seconds < SECONDS


async def test_it_has_ended_from_then_on() -> None:
    child = start(shell("read line", pipe_stdin=True))
    assert not child.has_ended()
    child.close_stdin()
    with trio.fail_after(SECONDS):
        await child.wait_ended()
    assert child.has_ended()
    await ended(child)
    assert child.has_ended()


async def test_its_kin_hears_that_it_was_reaped_once_and_not_before() -> None:
    child = start(command("true"))
    with trio.fail_after(SECONDS):
        await child.wait_ended()
    child.report_reaped()
    assert KIN.reaped == []
    child.reap()
    child.report_reaped()
    child.report_reaped()
    assert KIN.reaped == [child.pid]
    child.close()


async def test_its_end_does_not_wait_for_whoever_holds_its_pipes() -> None:
    child = start(shell("sleep 1000 & echo $!"))
    with trio.fail_after(SECONDS):
        await child.wait_ended()
    assert child.reap().exit_code == 0
    assert await read_until(child.sources[0], b"\n")
    with pytest.raises(BlockingIOError):
        child.sources[0].read()
    assert child.signal_group(signal.SIGKILL)
    assert await read_all(child.sources[0]) == b""
    child.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, 34, 50])
def test_every_signal_has_a_name(number: int) -> None:
    name = signal_name(number)
    assert name == {2: "SIGINT", 9: "SIGKILL", 34: "SIGRTMIN", 50: "SIGRTMIN+16"}[number]


# Its streams.


async def test_what_the_kernel_holds_is_counted_and_read_whole() -> None:
    child = start(shell("printf 12345; printf 123 >&2"))
    with trio.fail_after(SECONDS):
        await child.wait_ended()
    assert [source.held() for source in child.sources] == [5, 3]
    assert [source.read() for source in child.sources] == [b"12345", b"123"]
    assert [source.held() for source in child.sources] == [0, 0]
    assert [source.read() for source in child.sources] == [b"", b""]
    await ended(child)
    assert [source.held() for source in child.sources] == [0, 0]
    assert [source.read() for source in child.sources] == [b"", b""]


@pytest.mark.parametrize("size", [None, TTY])
async def test_a_flood_is_read_in_chunks_without_loss(size: Any) -> None:
    script = "import os\ndata = bytes(range(97, 123)) * 40000\nwhile data: data = data[os.write(1, data[:99999]):]"
    child = start(command(sys.executable, "-I", "-S", "-c", script, size=size))
    chunks = []
    with trio.fail_after(SECONDS):
        while True:
            try:
                chunk = child.sources[0].read()
            except BlockingIOError:
                await child.sources[0].wait_readable()
                continue
            if not chunk:
                break
            chunks.append(chunk)
    assert b"".join(chunks) == bytes(range(97, 123)) * 40000
    assert max(map(len, chunks)) <= CHUNK_BYTES
    await ended(child)


async def test_the_end_of_file_of_a_terminal_is_no_error() -> None:
    child = start(shell("printf bye", size=TTY))
    assert await read_all(child.sources[0]) == b"bye"
    assert child.sources[0].read() == b""
    await ended(child)


async def test_another_error_of_a_stream_is_one() -> None:
    child = start(shell("read x", pipe_stdin=True))
    os.close(child.sources[0]._fd)  # type: ignore[attr-defined]
    with pytest.raises(OSError, match="Bad file descriptor"):
        child.sources[0].read()
    child.sources[0]._fd = -1  # type: ignore[attr-defined]
    child.close_stdin()
    await ended(child)


async def test_closing_a_stream_wakes_whoever_waits_for_it() -> None:
    child = start(shell("read x", pipe_stdin=True))
    woken: list[str] = []

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await child.sources[0].wait_readable()
        woken.append("woken")

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            child.sources[0].close()
            child.sources[0].close()  # again is no error
    assert woken == ["woken"]
    child.close_stdin()
    await ended(child)


# Its stdin.


async def test_a_full_stdin_refuses_and_takes_more_when_it_is_read() -> None:
    child = start(shell("read line; cat", pipe_stdin=True))
    assert fill(child) >= CHUNK_BYTES
    said: list[bytes] = []

    async def listen() -> None:
        said.append(await read_all(child.sources[0]))

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await child.wait_writable()
            assert child.write(b"\nend") == 4
            child.close_stdin()
    assert said == [b"end"]  # `read` has taken the line before, byte by byte
    await ended(child)


def fill(child: PosixChild) -> int:
    """Write until it refuses; return how much it took."""
    sent = 0
    while True:
        try:
            sent += child.write(b"x" * CHUNK_BYTES)
        except BlockingIOError:
            return sent


async def test_without_a_pipe_there_is_nothing_to_write_to() -> None:
    child = start(shell("cat"))
    with pytest.raises(BrokenPipeError):
        child.write(b"x")
    await child.wait_writable()
    child.close_stdin()
    assert await read_all(child.sources[0]) == b""
    await ended(child)


async def test_a_child_that_closed_its_stdin_breaks_the_pipe() -> None:
    child = start(shell("exec 0<&-; echo closed; exec sleep 1000", pipe_stdin=True))
    await read_until(child.sources[0], b"closed\n")
    with pytest.raises(BrokenPipeError):
        child.write(b"x")
    child.signal_group(signal.SIGKILL)
    await ended(child)


async def test_closing_stdin_twice_is_no_error_and_ends_the_file_once() -> None:
    child = start(shell("cat; echo end", pipe_stdin=True))
    child.write(b"all ")
    child.close_stdin()
    child.close_stdin()
    assert await read_all(child.sources[0]) == b"all end\n"
    with pytest.raises(BrokenPipeError):
        child.write(b"x")
    await ended(child)


# Its terminal.


async def test_a_terminal_stays_open_and_its_end_of_file_is_a_character() -> None:
    child = start(shell("stty -echo; echo ready; cat; echo end", size=TTY))
    await read_until(child.sources[0], b"ready\r\n")
    assert [child.end_of_file(after) for after in (b"", b"\n", b"\r", b"\4", b"t")] == [b"\4"] * 4 + [b"\4\4"]
    child.close_stdin()
    child.write(b"part" + child.end_of_file(b"t"))
    assert await read_all(child.sources[0]) == b"partend\r\n"
    await ended(child)


async def test_a_raw_terminal_takes_one_character_wherever_it_is() -> None:
    child = start(shell("stty raw -echo eof x; echo ready; read y", size=TTY))
    await read_until(child.sources[0], b"ready\n")
    assert termios.VEOF == 4
    assert child.end_of_file(b"t") == child.end_of_file(b"") == b"x"
    child.signal_group(signal.SIGKILL)
    await ended(child)


async def test_a_terminal_is_resized_and_its_foreground_told() -> None:
    script = 'trap "stty size; exit 0" WINCH; stty size; echo ready; while :; do read x; done'
    child = start(shell(script, size=TTY))
    assert await read_until(child.sources[0], b"ready\r\n") == b"24 80\r\nready\r\n"
    child.resize(50, 132)
    assert await read_all(child.sources[0]) == b"50 132\r\n"
    await ended(child)


# Its group.


async def test_a_signal_reaches_the_whole_group() -> None:
    child = start(shell("sleep 1000 & sleep 1000 & echo ready; wait"))
    await read_until(child.sources[0], b"ready\n")
    assert child.has_group()
    assert child.signal_group(signal.SIGKILL)
    assert await read_all(child.sources[0]) == b""  # nobody holds it any more
    assert (await ended(child)).signal == "SIGKILL"


async def test_a_group_without_its_leader_is_found_signalled_and_gone() -> None:
    child = start(shell("trap '' TERM; sleep 1000 & echo ready"))
    await read_until(child.sources[0], b"ready\n")
    with trio.fail_after(SECONDS):
        await child.wait_ended()
    child.reap()
    assert child.has_group()
    assert child.signal_group(signal.SIGKILL)
    assert await read_all(child.sources[0]) == b""
    reap_orphans()
    assert not child.has_group()
    assert not child.signal_group(signal.SIGKILL)
    child.close()


async def test_a_group_of_that_number_later_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    child = start(command("true"))
    await ended(child)
    assert not child.has_group()
    monkeypatch.setattr(os, "killpg", lambda pid, number: None)  # the number is in use again
    assert not child.has_group()
    assert not child.signal_group(signal.SIGKILL)


async def test_a_group_of_another_user_is_there_and_cannot_be_signalled(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, number: int) -> None:
        raise PermissionError

    child = start(shell("read x", pipe_stdin=True))
    monkeypatch.setattr(os, "killpg", refuse)  # it runs a setuid program, and we are not root
    assert child.has_group()
    assert not child.signal_group(signal.SIGKILL)
    child.close_stdin()
    with trio.fail_after(SECONDS):
        await child.wait_ended()
    child.reap()
    assert child.has_group()
    child.close()


def reap_orphans() -> None:
    """As `family.Family` does it."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return
