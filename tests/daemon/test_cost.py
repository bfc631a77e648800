"""What things cost the daemon: counted and never timed, since the machine may be busy with something else.

Two counts stay the same whatever else runs: the read(2) and write(2) of the daemon, which the kernel counts, and the
calls of functions, those of Python and those of C, which a profile function counts. For that each thing is done in an
order that leaves nothing to chance: a child says something while the daemon waits, or while it is stopped. (Hence no
echo through `cat`: whether its output leaves with the answer to its input depends on who runs when. Here are its two
halves, a write to a child and a child's output.)

Reads and writes are what is due. A budget of calls is 25 % above the most that was seen on CPython 3.11, 3.12 and 3.13,
idle and beside four busy programs on two cores, with pybase64 and without. On one interpreter no count varied by more
than 3 %; the room is for other versions of trio and jsonrpcserver. Where a budget is exceeded something is done each
time that was not done before. Find it, and see by `make bench` whether it is felt; docs/explanation/performance.md says
what paid. Raise a budget for a reason that the commit tells, and lower it when something has become cheaper.
"""

import base64
import fcntl
import os
import select
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests import kernel
from tests.daemon.raw import Daemon, running_daemon

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads and writes are counted in /proc")

# The count is in a file that is mapped, so that it can be read at any moment and costs the daemon no system call.
# The turn of the reader has a limit in time, behind which what came together is answered in a second write. Here it has
# none: it would be a measure of the machine, and counting makes a call several times as slow.
PRELUDE = """
import mmap, sys
from execserver.server import serve
with open({path!r}, "r+b") as file:
    calls = memoryview(mmap.mmap(file.fileno(), 8)).cast("Q")
def count(frame, event, arg):
    if event in ("call", "c_call"):
        calls[0] += 1
serve.TURN_SECONDS *= 1_000_000
sys.setprofile(count)
"""

WARM_UP = 3  # at first modules are loaded, the guardian is started
CHUNK_BYTES = 64 * 1024


class Cost(NamedTuple):
    """What one thing costs."""

    reads: float
    writes: float
    calls: float


@dataclass
class Counted:
    """A daemon that is counted."""

    daemon: Daemon
    calls: Path

    async def idle(self) -> None:
        """Return when it waits for something to happen: only then has it done all that is to be done."""
        await kernel.settled(lambda: _state(self.daemon.pid) == "S", "an idle daemon")

    async def spent(self) -> Cost:
        """What it has spent so far.

        Reads and writes are those of its main thread: to those of a process Linux adds those of children that it has
        waited for.
        """
        await self.idle()
        pid = self.daemon.pid
        io = kernel.parse_status(Path(f"/proc/{pid}/task/{pid}/io").read_text())
        return Cost(int(io["syscr"]), int(io["syscw"]), int.from_bytes(self.calls.read_bytes(), sys.byteorder))

    async def cost(self, act: Callable[[], Awaitable[object]], times: int = 100) -> Cost:
        """What it costs to do something once."""
        for _ in range(WARM_UP):
            await act()
        before = await self.spent()
        for _ in range(times):
            await act()
        after = await self.spent()
        return Cost(*((late - early) / times for early, late in zip(before, after, strict=True)))

    async def start(self, *argv: str, process_id: str = "p", pipe_stdin: bool = False) -> int:
        """Start a process; return its pid."""
        params = {"processId": process_id, "argv": argv, "pipeStdin": pipe_stdin}
        pid: int = (await self.daemon.call("process/start", **params))["pid"]
        return pid

    async def until(self, name: str) -> Any:
        """Wait for the next notification of that name; return its params."""
        while (push := await self.daemon.push())["method"] != f"process/{name}":
            pass
        return push["params"]


@pytest.fixture
async def counted(tmp_path: Path) -> AsyncIterator[Counted]:
    calls = tmp_path / "calls"
    calls.write_bytes(bytes(8))
    async with running_daemon(prelude=PRELUDE.format(path=str(calls))) as daemon:
        yield Counted(daemon, calls)


def _state(pid: int) -> str:
    task = kernel.task(pid)
    return "X" if task is None else task.state


def _within(cost: Cost, budget: Cost) -> bool:
    return all(0 < one <= most for one, most in zip(cost, budget, strict=True))


async def test_a_request_costs_one_read_one_write_and_no_task(counted: Counted) -> None:
    cost = await counted.cost(lambda: counted.daemon.call("ping"), times=200)
    assert _within(cost, Cost(reads=1, writes=1, calls=162)), cost


async def test_requests_that_come_together_are_read_and_answered_together(counted: Counted) -> None:
    requests = [{"id": number, "method": "ping"} for number in range(100, 170)]
    assert len(str(requests)) < select.PIPE_BUF  # so they are in the pipe all at once, and not a part of them

    async def act() -> None:
        await counted.daemon.send(*requests)
        for _ in requests:
            await counted.daemon.receive()

    cost = await counted.cost(act, times=20)
    assert _within(cost, Cost(reads=1, writes=1, calls=69 * len(requests))), cost


async def test_a_write_to_a_child_costs_one_read_and_two_writes(counted: Counted) -> None:
    await counted.start("sleep", "1000", pipe_stdin=True)  # says nothing, and its pipe holds all of it
    chunk = base64.b64encode(b"hello\n").decode()
    cost = await counted.cost(lambda: counted.daemon.call("process/write", processId="p", chunk=chunk))
    assert _within(cost, Cost(reads=1, writes=2, calls=190)), cost


async def test_what_a_child_says_costs_one_read_and_one_write(counted: Counted, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    fifo = os.open(tmp_path / "fifo", os.O_RDWR)
    try:
        await counted.start("cat", str(tmp_path / "fifo"))

        async def act() -> None:
            os.write(fifo, b"hello\n")
            await counted.until("output")

        cost = await counted.cost(act)
    finally:
        os.close(fifo)
    assert _within(cost, Cost(reads=1, writes=1, calls=115)), cost


# The daemon stands while its pipe is filled, or what it finds there would be a matter of who runs when.
FLOOD = 'while read -r size; do kill -STOP $PPID; head -c "$size" /dev/zero; kill -CONT $PPID; done'


async def test_a_flood_is_read_64_kib_at_a_time_and_each_chunk_leaves_in_one_write(counted: Counted) -> None:
    pid = await counted.start("sh", "-c", FLOOD, pipe_stdin=True)

    async def act(chunks: int = 2) -> None:  # three of them, in base64, would be more than the wire holds
        line = base64.b64encode(b"%d\n" % (chunks * CHUNK_BYTES)).decode()
        await counted.daemon.call("process/write", processId="p", chunk=line)
        for _ in range(chunks):
            assert len(base64.b64decode((await counted.until("output"))["chunk"])) == CHUNK_BYTES

    await act(1)  # is as much as a pipe holds at first
    await counted.idle()
    assert _pipe_bytes(Path(f"/proc/{pid}/fd/1")) >= 4 * CHUNK_BYTES
    cost = await counted.cost(act, times=50)
    # beside the two chunks: the request, and the look that finds the pipe empty; the child's stdin, and the answer
    assert _within(cost, Cost(reads=2 + 2, writes=2 + 2, calls=473)), cost


def _pipe_bytes(path: Path) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
    finally:
        os.close(fd)


async def test_a_process_costs_six_reads_and_five_writes_from_its_start_to_its_close(counted: Counted) -> None:
    program = shutil.which("sleep")
    assert program is not None
    numbers = iter(range(1000))

    async def act() -> None:
        pid = await counted.start(program, "1000", process_id=f"p{next(numbers)}")
        await counted.idle()  # else it might be found to have ended already, which costs less
        os.kill(pid, signal.SIGKILL)
        await counted.until("closed")
        await counted.idle()

    cost = await counted.cost(act, times=50)
    # Reads: the request, SIGCHLD, and two of each pipe: nothing yet, end of file. Writes: three to the guardian's
    # ledger, the answer, and exit and close together.
    assert _within(cost, Cost(reads=6, writes=5, calls=1110)), cost
