"""The client for asyncio, with nothing but the standard library. The same names and the same behaviour as for trio."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from execserver.client import launch
from execserver.client.asyncio_driver import AsyncioDriver
from execserver.client.core import ClientCore
from execserver.client.daemon import LAST_WORDS_SECONDS, Daemon
from execserver.client.ending import Ending
from execserver.client.errors import Disconnected as Disconnected
from execserver.client.facade import Events as Events
from execserver.client.facade import Process as Process
from execserver.client.facade import Server as Server
from execserver.client.handshake import Handshake
from execserver.client.names import *  # noqa: F403
from execserver.client.pause import Pause
from execserver.client.preamble import PREAMBLE_BYTES
from execserver.client.stderr import Stderr


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
    """Launch a daemon and speak with it until the end of the block; see `execserver.client.trio.connect`."""
    argv, group = launch.command_line(command)
    pipe = subprocess.PIPE
    _, wire = await asyncio.get_running_loop().subprocess_exec(
        lambda: _Wire(argv[0], ClientCore(preamble_limit, lossless=lossless), Stderr(forward=forward_stderr)),
        *argv,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env=env,
        cwd=cwd,
        process_group=group,
    )
    try:
        wire.begin()
        await wire.wait(Handshake(wire.daemon, client_name, connect_timeout, wire.clock))
        yield Server(wire)
    finally:
        await wire.see_through(wire.end(shutdown_timeout), max(0.0, shutdown_timeout) + 5)


class _Wire(AsyncioDriver, asyncio.SubprocessProtocol):
    """The daemon's process and its three pipes."""

    def __init__(self, name: str, core: ClientCore, stderr: Stderr) -> None:
        super().__init__(core)
        self.daemon = Daemon(core, name, stderr, self._part_later)
        self._paused = False
        self._gone = asyncio.Event()
        self._pausing: asyncio.Task[None] | None = None
        self._last_words: asyncio.TimerHandle | None = None
        core.send_soon = self._send_soon

    # The life of the daemon

    def begin(self) -> None:
        """Make the most of the pipes, which are connected now."""
        with contextlib.suppress(ValueError):  # closed: the command has ended already
            launch.enlarge_pipe(self._pipe(1).get_extra_info("pipe").fileno())

    async def end(self, timeout: float) -> None:
        """End the daemon, whatever it does, and close everything."""
        self.core.close()
        self._pipe(0).close()
        await self.wait(Ending(self.daemon, timeout, self.clock, self._send_signal))
        self._transport.close()
        await self._gone.wait()
        if self._last_words is not None:
            self._last_words.cancel()

    def _send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            self._transport.send_signal(number)

    # Bytes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the process, its pipes not yet connected."""
        self._transport: Any = transport

    def _pipe(self, descriptor: int) -> Any:
        return self._transport.get_pipe_transport(descriptor)

    def _send_soon(self) -> None:
        if not self._paused and not self._pipe(0).is_closing():  # closing: the end of its stdout says why
            self._pipe(0).write(self.core.take_outgoing())

    def pause_writing(self) -> None:
        """Let what is to be sent wait in the core, where it is bounded."""
        self._paused = True

    def resume_writing(self) -> None:
        """Send what has waited."""
        self._paused = False
        self._send_soon()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take what the daemon wrote."""
        if fd == 1:
            self.core.feed(data)
            if self.core.laggards and self._pausing is None:
                self._pipe(1).pause_reading()
                self._pausing = self._loop.create_task(self.wait(Pause(self.core)))
                self._pausing.add_done_callback(self._read_on)
        else:
            self.daemon.stderr.add(data)

    def _read_on(self, pausing: "asyncio.Task[None]") -> None:
        """End a pause, also one whose task was cancelled, perhaps before it began, by a program that cancels all."""
        self._pausing = None
        if not self._pipe(1).is_closing():
            self._pipe(1).resume_reading()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Take the end of one pipe."""
        (self.daemon.input_broken, self.daemon.output_ended, self.daemon.errors_ended)[fd]()

    def process_exited(self) -> None:
        """Take the end of the daemon."""
        self.daemon.exited(self._transport.get_returncode())

    def connection_lost(self, exc: Exception | None) -> None:
        """Take it that all is closed."""
        self._gone.set()

    def _part_later(self) -> None:
        """Bring the timer: no task, which a program that cancels every task would cancel too."""
        self._last_words = self._loop.call_later(LAST_WORDS_SECONDS, self.daemon.part)
