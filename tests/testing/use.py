"""What a program does with a connection, under any runtime, while the proxy stands before the server."""

import sys
from collections.abc import Sequence
from typing import Any

import pytest

from execserver.client.errors import Disconnected
from execserver.client.events import Closed, Event, Exited, Output
from tests.client.runtimes import Runtime

OURS = (sys.executable, "-m", "execserver")
PROXY = (sys.executable, "-m", "execserver.testing")
SCRIPT = "for i in $(seq 40); do echo out $i; echo err $i >&2; done; sleep 0.05; echo late; exit 3"
STDOUT = b"".join(b"out %d\n" % i for i in range(1, 41)) + b"late\n"
STDERR = b"".join(b"err %d\n" % i for i in range(1, 41))


class Use:
    """Several processes, several subscriptions each: at once, late, from the middle; waits; a run."""

    def __init__(self, seed: int, profile: str, server: Sequence[str] = OURS) -> None:
        self._command = [*PROXY, "--seed", str(seed), "--profile", profile, "--", *server]
        self._may_end = profile in ("cut", "garbage")
        self._ends: list[Disconnected] = []
        self._subscriptions = 0

    async def __call__(self, runtime: Runtime) -> None:
        try:
            async with runtime.connect(self._command) as server:
                await runtime.together(
                    lambda: self._process(runtime, server),
                    lambda: self._process(runtime, server),
                    lambda: self._run(server),
                )
                if self._ends:  # then it is the end for everybody, at once
                    with pytest.raises(Disconnected):
                        await server.call("no/such")
                    assert server.disconnected is not None
                else:
                    assert (await server.run(["true"])).exit_code == 0
        except Disconnected as end:
            self._note(end)
        assert self._ends or self._subscriptions == 8

    def _note(self, end: Disconnected) -> None:
        if not self._may_end:
            raise end
        self._ends.append(end)

    async def _process(self, runtime: Runtime, server: Any) -> None:
        try:
            process = await server.start(["sh", "-c", SCRIPT])
        except Disconnected as end:
            return self._note(end)
        await runtime.together(
            lambda: self._follow(process), lambda: self._follow(process), lambda: self._follow(process, 2),
            lambda: self._wait(process),
        )  # fmt: skip
        return await self._follow(process)  # when all is over

    async def _follow(self, process: Any, after_seq: int = 0) -> None:
        given: list[Event] = []
        try:
            async for event in process.events(after_seq):
                given.append(event)  # noqa: PERF401 - it must be there when it ends early
        except Disconnected as end:
            self._note(end)
            assert end.last_seq == after_seq + len(given)  # noqa: PT017
        else:
            assert isinstance(given[-1], Closed)
            assert sum(isinstance(event, Exited) for event in given) == 1
            assert after_seq or (bytes_of(given, "stdout"), bytes_of(given, "stderr")) == (STDOUT, STDERR)
            self._subscriptions += 1
        assert [event.seq for event in given] == list(range(after_seq + 1, after_seq + 1 + len(given)))
        assert all(isinstance(event, Output | Exited | Closed) for event in given)
        assert after_seq or STDOUT.startswith(bytes_of(given, "stdout"))
        assert after_seq or STDERR.startswith(bytes_of(given, "stderr"))

    async def _wait(self, process: Any) -> None:
        try:
            assert (await process.wait()).exit_code == 3
        except Disconnected as end:
            self._note(end)

    async def _run(self, server: Any) -> None:
        try:
            result = await server.run(["sh", "-c", SCRIPT], drain=10)
        except Disconnected as end:
            return self._note(end)
        assert (result.exit_code, result.stdout, result.stderr) == (3, STDOUT, STDERR)
        return None


def bytes_of(events: list[Event], stream: str) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Output) and event.stream == stream)
