"""The client for trio. ``async with connect() as server`` launches the daemon, and ends it with the block."""

import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from execserver.client import launch
from execserver.client.core import ClientCore
from execserver.client.daemon import LAST_WORDS_SECONDS, Daemon
from execserver.client.ending import Ending
from execserver.client.errors import Disconnected as Disconnected
from execserver.client.facade import Events as Events
from execserver.client.facade import Process as Process
from execserver.client.facade import Server as Server
from execserver.client.handshake import Handshake
from execserver.client.names import *  # noqa: F403
from execserver.client.outgoing import Outgoing
from execserver.client.pause import Pause
from execserver.client.preamble import PREAMBLE_BYTES
from execserver.client.stderr import Stderr
from execserver.client.trio_driver import TrioDriver, unwrapped


@asynccontextmanager
async def connect(
    command: Sequence[str] | None = None,
    *,
    client_name: str = "execserver-client",
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    preamble_limit: int = PREAMBLE_BYTES,
    connect_timeout: float = 10.0,
    shutdown_timeout: float = 5.0,
    forward_stderr: bool = False,
    lossless: bool = False,
) -> AsyncIterator[Server]:
    """Launch a daemon and speak with it until the end of the block.

    ``command`` is any argv whose stdin and stdout are the wire; None is ``python -m execserver``. ``env`` and ``cwd``
    are the daemon's. Up to ``preamble_limit`` bytes of lines before the first message are skipped. The end of the block
    is the end of the daemon: end of file, SIGTERM, SIGKILL, within ``shutdown_timeout`` seconds. That is the end of
    ``command`` itself; the daemon ends what it started. What else a wrapper like ``["sh", "-c", ...]`` started goes
    on: let the daemon be the last that it runs, behind ``exec``. The last 16 KiB of its stderr are kept for
    the reason of a `Disconnected`; with ``forward_stderr`` all of it goes to this program's too.

    With ``lossless`` a consumer that takes nothing is waited for without end, by turns where others wait as well: it
    then stops the daemon's processes, instead of losing what exceeds their retained output.

    Raises `OSError` if the command cannot be launched, `Disconnected` if it does not answer as a daemon does.
    """
    argv, group = launch.command_line(command)
    pipe = subprocess.PIPE
    child = await trio.lowlevel.open_process(
        argv, stdin=pipe, stdout=pipe, stderr=pipe, env=env, cwd=cwd, process_group=group
    )
    core = ClientCore(preamble_limit, lossless=lossless)
    wire = _Wire(child, argv[0], core, Stderr(forward=forward_stderr))
    with unwrapped():
        async with trio.open_nursery(strict_exception_groups=True) as nursery:
            # Its tasks end when `end` ends them, not with a cancelled caller: else a caller's error would be
            # accompanied by their Cancelled, and could not leave as itself. `end` has its deadline.
            wire.begin(nursery)
            try:
                await wire.wait(Handshake(wire.daemon, client_name, connect_timeout, wire.clock))
                yield Server(wire)
            finally:
                with trio.CancelScope(shield=True):
                    await wire.end(shutdown_timeout)


class _Wire(TrioDriver):
    """The daemon's process and its three pipes."""

    def __init__(self, child: trio.Process, name: str, core: ClientCore, stderr: Stderr) -> None:
        super().__init__(core)
        self._going = trio.Event()
        self.daemon = Daemon(core, name, stderr, self._going.set)
        self._child = child
        self._input: Any = child.stdin  # FdStreams, all three
        self._output: Any = child.stdout
        self._errors: Any = child.stderr
        self._outgoing = Outgoing(core.take_outgoing)
        self._more = trio.Event()
        self._closing = False
        self._scopes: list[trio.CancelScope] = []
        core.send_soon = self._send_soon

    # The life of the daemon

    def begin(self, nursery: trio.Nursery) -> None:
        """Move bytes until `end`, and see what becomes of the daemon."""
        for task in (self._read, self._write, self._read_errors, self._watch_input, self._reap, self._part):
            # A scope for each: when one fails the others go on, and the end that follows hears of the exit.
            scope = trio.CancelScope(shield=True)
            self._scopes.append(scope)
            nursery.start_soon(self._until_end, scope, task, name=task)

    @trio.lowlevel.enable_ki_protection
    async def _until_end(self, scope: trio.CancelScope, task: Callable[[], Awaitable[None]]) -> None:
        """Ctrl-C is for the program: what runs in here is protected, so that it reaches the main task instead."""
        with scope:
            await task()

    @trio.lowlevel.enable_ki_protection  # Ctrl-C again interrupts it where it waits, and leaves nothing undone
    async def end(self, timeout: float) -> None:
        """End the daemon, whatever it does, and close everything."""
        ending = Ending(self.daemon, timeout, self.clock, self._child.send_signal)
        self.core.close()
        self._closing = True
        try:
            await self._input.aclose()
            await self.wait(ending)
        except BaseException:  # Ctrl-C again: at once, then
            ending.kill()
            await self.wait(ending)
            raise
        finally:
            for scope in self._scopes:
                scope.cancel()
            await self._output.aclose()
            await self._errors.aclose()

    async def _reap(self) -> None:
        self.daemon.exited(await self._child.wait())

    async def _part(self) -> None:
        await self._going.wait()
        await trio.sleep(LAST_WORDS_SECONDS)
        self.daemon.part()

    # Bytes

    def _send_soon(self) -> None:
        """Write at once what the pipe takes: a task more on the way of each request costs as much as the request."""
        if not self._outgoing and not self._closing:
            self._outgoing.write(self._input.fileno())
            if self._outgoing:
                self._more.set()

    async def _write(self) -> None:
        while True:
            await self._more.wait()
            self._more = trio.Event()
            with contextlib.suppress(trio.ClosedResourceError):
                while self._outgoing and not self._closing:
                    await trio.lowlevel.wait_writable(self._input.fileno())
                    self._outgoing.write(self._input.fileno())

    async def _watch_input(self) -> None:
        with contextlib.suppress(trio.ClosedResourceError):
            if not self._closing:  # the end may have come before this task's first turn
                # A pipe's write end is "readable" when it is broken (poll(2)).
                await trio.lowlevel.wait_readable(self._input.fileno())
        self.daemon.input_broken()

    async def _read(self) -> None:
        descriptor = self._output.fileno()
        launch.enlarge_pipe(descriptor)
        buffer = bytearray(launch.READ_BYTES)
        while True:
            try:
                size = os.readv(descriptor, [buffer])
            except BlockingIOError:
                await trio.lowlevel.wait_readable(descriptor)
                continue
            if not size:
                break
            self.core.feed(buffer, size)
            if self.core.laggards:
                await self.wait(Pause(self.core))
            await trio.lowlevel.checkpoint()  # the followers take what came before more is read
        self.daemon.output_ended()

    async def _read_errors(self) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            async for data in self._errors:
                self.daemon.stderr.add(data)
        self.daemon.errors_ended()
