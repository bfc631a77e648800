"""Daemons for tests: one of its own, held to the rules about its end, or one that tests share."""

import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from tests import kernel
from tests.daemon.life import OTHER
from tests.daemon.wire_client import END_LIMIT, LOADED, Client

ROOT = Path(__file__).resolve().parents[2]
COMMAND = OTHER or [sys.executable, "-m", "execserver"]

OF_THE_FIRST_PROCESS = 1 + 4  # pipes: one to the guardian, and stdout and stderr of the next process, both ends


def environment(**extra: str) -> dict[str, str]:
    """The daemon's own environment in a test: ours, and the package found wherever the daemon's cwd is."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **extra}


@asynccontextmanager
async def launch(
    *args: str,
    handshake: bool = True,
    wrapper: Sequence[str] = (),
    env: dict[str, str] | None = None,
    cwd: str | None = None,
    pass_fds: Sequence[int] = (),
    exit_code: int | None = 0,
) -> AsyncIterator[Client]:
    """Run a daemon for the length of the block, end it by EOF, and hold it to every rule about its end.

    ``exit_code`` is what the daemon must end with; None when the test kills it. When the block raises, the daemon
    is killed and nothing else is asserted.
    """
    process = await trio.lowlevel.open_process(
        [*wrapper, *COMMAND, *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment() if env is None else env,
        cwd=cwd,
        pass_fds=pass_fds,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    client = Client(process, process.stdin, process.stdout)
    async with process.stdin, process.stdout, process.stderr, trio.open_nursery() as nursery:
        nursery.start_soon(client.receive)
        nursery.start_soon(client.receive_stderr, process.stderr)
        try:
            if handshake:
                await client.initialize()
                pipes = count_pipes(client.pid)
            yield client
            if process.returncode is None and handshake and exit_code == 0:
                await nothing_accumulated(client, pipes + OF_THE_FIRST_PROCESS)
            client.read_on()
            await client.stdin.aclose()
            code = await client.until_gone()
            assert exit_code in (code, None), f"exit code {code}\n{client.complaints}"
            assert not client.breaches, client.breaches
            may_be_torn = client.may_be_torn or exit_code is None
            assert may_be_torn or not client.torn, f"the last line has no LF: {client.torn[:200]!r}"
            assert "Traceback" not in client.stderr, client.stderr
        finally:
            if process.returncode is None:
                process.kill()
                with trio.CancelScope(shield=True):  # a killed process ends at once
                    await process.wait()
            nursery.cancel_scope.cancel()


class SharedDaemon:
    """A daemon that tests use one after the other: it costs them no start, and shows them what others left.

    It is ended and replaced when a test has failed, or has rightly left processes behind.
    """

    def __init__(self) -> None:
        self._popen: subprocess.Popen[bytes] | None = None
        self._in_order = False

    def ensure(self) -> None:
        """Have one running, with its guardian, before a test counts processes and descriptors."""
        if self._popen is not None:
            return
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the daemon
        self._popen = subprocess.Popen(
            COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, env=environment()
        )
        trio.run(self._begin)

    async def _begin(self) -> None:
        assert self._popen is not None
        async with self._attached(self._popen) as client:
            await client.initialize()
            await client.run("warm up", ["true"])
            await _forget_all(client)
            # with the first process comes the guardian, and it stays
            await kernel.settled(lambda: len(kernel.descendants(client.pid)) == 1, "the guardian")

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Client]:
        """Give the daemon to a test, and see that it comes back as it was."""
        assert self._popen is not None
        self._in_order = False
        try:
            async with self._attached(self._popen) as client:
                pipes = count_pipes(client.pid)
                yield client
                client.read_on()
                await nothing_accumulated(client, pipes)
                await _forget_all(client)
                assert not client.breaches, client.breaches
                assert not client.torn, client.torn
                self._in_order = not client.survivors_allowed
            self._stderr.seek(0)
            complaints = self._stderr.read().decode()
            assert "Traceback" not in complaints, complaints
        finally:
            if not self._in_order:
                self.retire()

    @asynccontextmanager
    async def _attached(self, popen: "subprocess.Popen[bytes]") -> AsyncIterator[Client]:
        assert popen.stdin is not None
        assert popen.stdout is not None
        stdin = trio.lowlevel.FdStream(os.dup(popen.stdin.fileno()))
        stdout = trio.lowlevel.FdStream(os.dup(popen.stdout.fileno()))
        async with stdin, stdout, trio.open_nursery() as nursery:
            client = Client(popen, stdin, stdout)
            nursery.start_soon(client.receive)
            yield client
            nursery.cancel_scope.cancel()

    def retire(self) -> None:
        """End it, by EOF, in the time that it has."""
        popen, self._popen = self._popen, None
        if popen is None:
            return
        with popen, self._stderr:
            assert popen.stdin is not None
            popen.stdin.close()
            try:
                code = popen.wait(timeout=END_LIMIT + LOADED)
            finally:
                popen.kill()
        assert code == 0, f"exit code {code}"


async def _forget_all(client: Client) -> None:
    """End and release what a test left, and read to the last line about it."""
    for one in (await client.request("process/list"))["processes"]:
        process_id = one["processId"]
        if one["state"] != "closed":
            await client.terminate(process_id, graceMs=0)
            await client.until_closed(process_id)
        await client.request("process/release", processId=process_id)


async def nothing_accumulated(client: Client, pipes: int) -> None:
    """A daemon whose processes are all closed has no descriptor, zombie or descendant of theirs."""
    if client.survivors_allowed or not all(life.closed for life in client.lives.values()) or client.ended:
        return

    def clean() -> bool:
        left = [one for one in kernel.descriptors(client.pid).values() if "pidfd" in one or one.startswith("/dev/pt")]
        # the one descendant is the guardian
        return len(kernel.descendants(client.pid)) <= 1 and not left and count_pipes(client.pid) <= pipes

    try:
        await kernel.settled(clean, "a clean daemon", kernel.SETTLE_SECONDS)
    except AssertionError:
        below = [(one, kernel.command_line(one.pid)) for one in kernel.descendants(client.pid)]
        raise AssertionError(f"all closed, but left: {below}, {kernel.descriptors(client.pid)}") from None


def count_pipes(pid: int) -> int:
    """How many of a process's descriptors are pipes."""
    return sum(target.startswith("pipe:") for target in kernel.descriptors(pid).values())
