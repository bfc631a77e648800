"""Real children, without a session: what spawns them, what they say, and that none of them is left."""

import os
from typing import Any

import trio

from execserver.server.child import Child, Ended, Source
from execserver.server.descendants import Stat, members, scan
from execserver.server.guardian import Guardian
from execserver.server.spawn import Command

SECONDS = 20  # far above what anything here takes; a busy machine is no failure


class ToldGuardian(Guardian):
    """Only notes what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, Any]] = []

    def intend(self, links: str) -> None:
        self.told.append(("intend", links))

    def begin(self, links: str, pgid: int) -> None:
        self.told.append(("begin", links))

    def failed(self, links: str) -> None:
        self.told.append(("failed", links))

    def end(self, pgid: int) -> None:
        self.told.append(("end", pgid))


class ToldKin:
    """Only notes who was reaped."""

    def __init__(self) -> None:
        self.reaped: list[int] = []

    def note_reaped(self, child: Child) -> None:
        self.reaped.append(child.pid)

    def find_members(self, pgid: int) -> list[Stat]:
        return members(pgid, scan())


def command(*argv: str, **changed: Any) -> Command:
    """A command on pipes, in our directory, with nothing but a PATH."""
    plain = Command(list(argv), None, None, {"PATH": os.environ["PATH"]}, None, False, False)
    return plain._replace(**changed)


def shell(script: str, **changed: Any) -> Command:
    return command("sh", "-c", script, **changed)


async def read_some(source: Source) -> bytes:
    """What comes next; empty at the end of file."""
    with trio.fail_after(SECONDS):
        while True:
            try:
                return source.read()
            except BlockingIOError:
                await source.wait_readable()


async def read_until(source: Source, end: bytes) -> bytes:
    """What comes up to and including ``end``; at the latest the end of the file."""
    said = b""
    while not said.endswith(end) and (data := await read_some(source)):
        said += data
    return said


async def read_all(source: Source) -> bytes:
    said = b""
    while data := await read_some(source):
        said += data
    return said


async def ended(child: Child) -> Ended:
    """Wait for the end of a child, reap it, and close it."""
    with trio.fail_after(SECONDS):
        await child.wait_ended()
    try:
        how = child.reap()
        child.report_reaped()
        return how
    finally:
        child.close()
