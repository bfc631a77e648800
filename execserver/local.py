"""A server in this very process, behind the interface of the client for trio: ``async with connect() as server``.

What a process says is the same as over a wire, because it goes the same way: the session of the daemon, its lines, the
client's core. Only the wire is memory. The process that it serves in is not its own, so what the daemon asks of the
kernel for itself is not asked here (`server.kernel`): signals and orphans stay with the program, and a process that
left its group is not found at the end. The guardian watches here too.
"""

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from execserver.client.core import ClientCore
from execserver.client.facade import Server
from execserver.client.pause import Pause
from execserver.client.trio_driver import TrioDriver, unwrapped
from execserver.server.descendants import scan
from execserver.server.family import Family
from execserver.server.guardian import Guardian
from execserver.server.limits import DEFAULTS, Limits
from execserver.server.serve import Host, serve


@asynccontextmanager
async def connect(*, client_name: str = "execserver-local", limits: Limits = DEFAULTS) -> AsyncIterator[Server]:
    """Serve in this process until the end of the block, which is the end of every process that was started.

    ``limits`` are what the daemon's command line sets. As with the daemon, the end takes at most 5 s. Raises
    `RuntimeError` where the program ignores SIGCHLD: the kernel keeps no exit code for it then (wait(2)).
    """
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        raise RuntimeError("SIGCHLD is ignored in this program, so that the exit codes of its children are lost")
    wire = _MemoryWire()
    with unwrapped():
        async with trio.open_nursery(strict_exception_groups=True) as nursery:
            nursery.start_soon(wire.serve, limits)
            try:
                await wire.wait(wire.core.initialize(client_name))
                yield Server(wire)
            finally:
                wire.close()


class _MemoryWire(TrioDriver):
    """The `Driver` of the client and the `Wire` of the server at once; between them are no descriptors."""

    def __init__(self) -> None:
        super().__init__(ClientCore())
        self.core.send_soon = self._send_soon
        self._sent = trio.Event()
        self._closed = False
        self._paused = False  # for the next write already

    @trio.lowlevel.enable_ki_protection
    async def serve(self, limits: Limits) -> None:
        """Serve until `close`. Not cancelled with the caller: its end is bounded, and must not be cut short."""
        guardian = Guardian()
        host = Host(Family(guardian, scan).spawn, _prepare_nothing, _watch_nothing, _sweep_nothing)
        # Ctrl-C may reach a task of the server: it is the program's, and leaves as itself. The guardian ends the rest.
        with trio.CancelScope(shield=True), unwrapped(wholly=True):
            try:
                await serve(self, host, limits)
            finally:
                guardian.close()
        self.core.end_of_file("the session has ended")

    def close(self) -> None:
        """End the session: the server sees the end of its input."""
        self.core.close()
        self._closed = True
        self._sent.set()

    async def receive(self) -> bytes:
        """See `Wire`."""
        await self._sent.wait()
        if self._closed:
            return b""
        self._sent = trio.Event()
        return self.core.take_outgoing()

    @trio.lowlevel.enable_ki_protection  # else Ctrl-C here ends the owner of a process, and not the program
    def write(self, data: bytes | memoryview) -> int:
        """See `Wire`. Refuses for the moment that a consumer who is a little behind is given, and never else."""
        if self.core.laggards and not self._paused and not Pause(self.core).advance():
            raise BlockingIOError
        self._paused = False
        self.core.feed(bytes(data))
        return len(data)

    async def wait_writable(self) -> None:
        """See `Wire`."""
        await self.wait(Pause(self.core))
        self._paused = True
        await trio.lowlevel.checkpoint()

    async def wait_gone(self) -> None:
        """See `Wire`. The client cannot go without the server."""
        await trio.sleep_forever()

    def input_has_ended(self) -> bool:
        """See `Wire`."""
        return self._closed

    def _send_soon(self) -> None:
        self._sent.set()


def _prepare_nothing() -> None:
    """Make no pipes ahead; see `server.pipes`."""


async def _watch_nothing(_: Callable[[str], None]) -> None:
    """Leave the signals to the program."""


async def _sweep_nothing() -> None:
    """Leave to the program what is not in a group of ours: it may be its own."""
