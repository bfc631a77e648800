"""What a seed makes of a conversation: processes, subscriptions of every kind, calls, cancellations.

Whatever it makes of it, no task may hang, the client's memory is bounded, and `tests.testing.truth` holds.
"""

import json
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from execserver.client.buffer import EVENT_BYTES, EventBuffer
from execserver.client.errors import Disconnected, RpcError
from execserver.client.events import Closed, Event
from execserver.client.facade import Events, Process, Server
from execserver.client.pause import Pause
from execserver.testing import Profile

from .script import Script
from .truth import check_exactly, check_result, check_what_can_be_known
from .world import Task, World

CHUNK_BYTES = 3000
LIMIT_BYTES = 20_000  # of a subscription here: small, so that it is reached


def draw_script(random: Random) -> Script:
    """Draw what a child does."""
    script: Script = []
    for _ in range(random.choice((0, 1, 3, 10, 40))):
        script.append(
            ["output", random.choice(("stdout", "stderr")), random.choice((1, 10, random.randint(1, CHUNK_BYTES)))]
        )
        if random.random() < 0.2:
            script.append(["wait", random.choice((0.0, 0.001, 0.03, random.uniform(0, 3), random.uniform(0, 30)))])
    script.append(["exit", random.randint(0, 255)])
    for _ in range(random.choice((0, 0, 0, 1, 5))):  # a descendant that still holds the pipe
        script += [["wait", random.uniform(0, 2)], ["output", "stdout", random.randint(1, CHUNK_BYTES)]]
    if random.random() < 0.3:
        script.append(["wait", random.uniform(0, 1)])
    return script


class Conversation:
    """One seed: processes, subscriptions of every kind, calls, cancellations."""

    def __init__(self, seed: int, profile: Profile) -> None:
        self.random = random = Random(f"{seed} scenario")
        self.ours = random.random() < 0.6
        self.evicts = random.random() < 0.4
        retain_bytes = random.choice((1, 2000, 10_000)) if self.evicts else 1 << 20
        self.may_end = profile.cut > 0 or profile.garbage > 0
        self.world = World(
            seed,
            profile,
            lossless=random.random() < 0.2,
            ours=self.ours,
            retain_bytes=retain_bytes,
            busy=random.choice((0.0, 0.0, 0.3)),
            forgets_after=random.choice((None, None, None, random.uniform(0, 5))),
        )
        self.bounds: list[tuple[EventBuffer, int]] = []
        self.completed = 0

    def run(self) -> None:
        """Run it; `AssertionError` says what is wrong."""
        self.world.after_each_turn = self._check_memory
        self._spawn("main", self._main())
        self.world.run()
        self._check_end()

    # The client

    def _spawn(self, name: str, body: Coroutine[Any, Any, None]) -> Task:
        return self.world.spawn(name, self._until_the_end(body))

    async def _until_the_end(self, body: Coroutine[Any, Any, None]) -> None:
        try:
            await body
        except Disconnected:
            if not self.may_end:
                raise
        except RpcError as error:
            if not (self.world.model.forgotten and "unknown process" in error.message):
                raise

    async def _main(self) -> None:
        server = await self.world.connect()
        for number in range(self.random.randint(1, 3)):
            self._spawn(f"process {number}", self._follow_process(server, f"p{number}"))
        if self.random.random() < 0.5:
            self._spawn("run", self._run(server))
        if self.random.random() < 0.3:
            self._spawn("calls", self._call(server))
        if self.random.random() < 0.1:
            for number in range(6):
                self._spawn(f"burst {number}", self._burst(server))

    async def _follow_process(self, server: Server, name: str) -> None:
        process = await server.start([json.dumps(draw_script(self.random))], process_id=name)
        random = self.random
        for number in range(random.choice((0, 1, 1, 2, 3))):
            delay = random.choice((0.0, 0.0, random.uniform(0, 1), random.uniform(0, 60)))
            after_seq = random.choice((0, 0, 0, random.randint(1, 60)))
            self._spawn(f"{name} events {number}", self._subscribe(process, delay, after_seq))
        if random.random() < 0.5:
            self._spawn(f"{name} wait", self._wait(process))
        if random.random() < 0.3:
            cancelled = self._spawn(f"{name} cancelled", self._read_for_ever(process))
            await self.world.sleep(random.uniform(0, 1))
            self.world.cancel(cancelled)
        if random.random() < 0.2:
            await self.world.sleep(random.uniform(0, 2))
            await process.terminate()

    async def _subscribe(self, process: Process, delay: float, after_seq: int) -> None:
        await self.world.sleep(delay)
        given: list[Event] = []
        leaves_after = self.random.choice((0, 0, 0, self.random.randint(1, 20)))
        try:
            await self._take(self._events(process, after_seq), given, leaves_after)
            if leaves_after and not (given and isinstance(given[-1], Closed)):  # it broke out, and goes on later
                await self.world.sleep(delay)
                await self._take(self._events(process, given[-1].seq if given else after_seq), given, 0)
        except (Disconnected, RpcError) as error:
            if isinstance(error, Disconnected):
                assert error.last_seq == (given[-1].seq if given else after_seq), error  # noqa: PT017
            else:
                assert process._process._following.facts.closed is None, "it could have said what is lost"
            self._check(process.process_id, given, after_seq, whole=False)
            raise
        else:
            self._check(process.process_id, given, after_seq, whole=True)

    async def _take(self, events: Events, given: list[Event], leaves_after: int) -> None:
        slow = self.random.choice((0.0, 0.0, 0.005, 0.2))
        async for event in events:
            given.append(event)
            if len(given) == leaves_after:
                break
            if slow:
                await self.world.sleep(self.random.uniform(0, slow))

    def _events(self, process: Process, after_seq: int) -> Events:
        events = process.events(after_seq)
        buffer = events._subscription._buffer
        buffer.limit = LIMIT_BYTES
        # The first subscription to a process holds up to 64 KiB from before it was asked for.
        self.bounds.append((buffer, max(LIMIT_BYTES, buffer._held_bytes) + CHUNK_BYTES + EVENT_BYTES))
        return events

    async def _wait(self, process: Process) -> None:
        exited = await process.wait()
        truth = self.world.model.processes[process.process_id].exited
        assert truth is not None, "wait() returned before the exit"
        assert exited.exit_code == truth.exit_code
        assert exited.seq == truth.seq or not self.ours

    async def _run(self, server: Server) -> None:
        fed = self.ours and self.random.random() < 0.5
        data = self.random.randbytes(self.random.choice((0, 10, 5000))) if fed else None
        script = [["stdin"], *draw_script(self.random)] if fed else draw_script(self.random)
        result = await server.run([json.dumps(script)], input=data, drain=5.0, process_id="run")
        check_result(result, self.world.model.processes["run"])

    async def _call(self, server: Server) -> None:
        for _ in range(5):
            await server.call("ping")
            with pytest.raises((RpcError, Disconnected)) as refused:
                await server.call("no/such")
            assert not isinstance(refused.value, RpcError) or refused.value.code == -32601
            await self.world.sleep(self.random.uniform(0, 0.1))

    async def _burst(self, server: Server) -> None:
        """More than a connection lets wait: calls must wait for room, and must get it."""
        for _ in range(2):
            await server.call("ping", {"pad": "x" * 400_000})

    async def _read_for_ever(self, process: Process) -> None:
        while True:
            with suppress(RpcError):  # the model may be busy
                await process.read(wait=5.0)
            async for _ in self._events(process, 0):
                pass

    # What must be true

    def _check(self, name: str, given: Sequence[Event], after_seq: int, *, whole: bool) -> None:
        process = self.world.model.processes[name]
        if name in self.world.model.forgotten:
            process.evicted |= {event.seq for event in process.log if not isinstance(event, Closed)}
        if self.ours or not process.evicted:
            check_exactly(given, process, after_seq, whole=whole)
        else:
            check_what_can_be_known(given, process, after_seq, whole=whole)
        self.completed += 1

    def _check_memory(self) -> None:
        core = self.world.core
        for buffer, bound in self.bounds:
            assert buffer._held_bytes <= bound
        assert core._outgoing_bytes < 3 << 20
        assert len(core._calls) <= 2 * len(self.world.tasks)

    def _check_end(self) -> None:
        core = self.world.core
        garbage = self.world.mischief.done["garbage"]
        self.world.spawn("a moment", self.world.sleep(1))  # for what is on the wire
        self.world.run()
        if garbage:
            assert core.disconnected is not None, "garbage went unnoticed"
        assert all(isinstance(source, Pause) for source in core.parking), "somebody is still parked"
        if not self.may_end:
            assert core.disconnected is None, core.disconnected
        if core.disconnected is not None:
            self.world.spawn("late", self._call_too_late())
            self.world.run()
        for refusal in self.world.model.refusals:
            assert refusal["error"]["code"] in (-32601, -32600)

    async def _call_too_late(self) -> None:
        began = self.world.now
        with pytest.raises(Disconnected):
            await Server(self.world).call("ping")
        assert self.world.now == began
