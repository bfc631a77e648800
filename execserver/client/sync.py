"""The client for programs without an event loop: the same names and the same behaviour, without ``await``.

One thread moves the bytes of a connection, whichever threads use it. Ctrl-C interrupts what the main thread waits for.
"""

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from execserver.client import launch
from execserver.client.blocking import Events as Events
from execserver.client.blocking import Process as Process
from execserver.client.blocking import Server as Server
from execserver.client.core import ClientCore
from execserver.client.errors import Disconnected as Disconnected
from execserver.client.names import *  # noqa: F403
from execserver.client.pause import Pause
from execserver.client.pipes import Pipes
from execserver.client.preamble import PREAMBLE_BYTES
from execserver.client.source import Source

T = TypeVar("T")


@contextmanager
def connect(
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
) -> Iterator[Server]:
    """Launch a daemon and speak with it until the end of the block; see `execserver.client.trio.connect`."""
    wire = _Wire(ClientCore(preamble_limit, lossless=lossless))
    core, lock = wire.core, wire.lock
    pipes = Pipes(
        command,
        env,
        cwd,
        lock,
        take_output=wire.take_output,
        next_input=core.take_outgoing,
        parted=core.end_of_file,
        forward_stderr=forward_stderr,
    )
    core.send_soon = pipes.send
    try:
        try:
            with lock:
                wire.wait(core.initialize(client_name), connect_timeout)
        except TimeoutError:
            reason = launch.describe_silence(pipes.argv, connect_timeout, core.said, pipes.stderr)
            raise Disconnected(reason) from None
        yield Server(wire)
    finally:
        with lock:
            core.close()
        pipes.end(shutdown_timeout)


class _Wire:
    """A connection as its threads share it."""

    def __init__(self, core: ClientCore) -> None:
        self.core = core
        self.lock = threading.RLock()

    def take_output(self, data: bytearray, size: int) -> None:
        """Take what was read, in the thread that reads; give the consumers time to take it."""
        self.core.feed(data, size)
        if self.core.laggards:
            self.wait(Pause(self.core, threads=True))

    def wait(self, source: Source[T], seconds: float | None = None) -> T:
        """Wait for ``source``; the lock is given up meanwhile."""
        deadline = None if seconds is None else time.monotonic() + seconds
        with self.lock:
            try:
                while not source.advance():
                    patience = source.patience
                    if deadline is not None:
                        left = deadline - time.monotonic()
                        if left <= 0:
                            raise TimeoutError
                        patience = left if patience is None else min(left, patience)
                    woken = threading.Condition(self.lock)
                    with self.core.parking.park(source, woken.notify):
                        expired = not woken.wait(patience)
                    if expired:
                        source.expire()
                return source.take()
            except BaseException:
                source.cancel()
                raise

    def clock(self) -> float:
        """Give the time in seconds."""
        return time.monotonic()
