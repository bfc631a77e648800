"""The client for programs without an event loop: the same names and the same behaviour, without ``await``.

One thread moves the bytes of a connection, whichever threads use it. Ctrl-C interrupts what the main thread waits for.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from execserver.client.blocking import Events as Events
from execserver.client.blocking import Process as Process
from execserver.client.blocking import Server as Server
from execserver.client.core import ClientCore
from execserver.client.errors import Disconnected as Disconnected
from execserver.client.handshake import Handshake
from execserver.client.names import *  # noqa: F403
from execserver.client.pipes import Pipes
from execserver.client.preamble import PREAMBLE_BYTES


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
    core = ClientCore(preamble_limit, lossless=lossless)
    wire = Pipes(command, env, cwd, core, forward_stderr=forward_stderr)
    try:
        with wire.lock:
            wire.wait(Handshake(wire.daemon, client_name, connect_timeout, wire.clock))
        yield Server(wire)
    finally:
        wire.end(shutdown_timeout)
