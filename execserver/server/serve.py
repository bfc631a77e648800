"""Serves one session over one wire. The nursery tree is the order of shutdown.

    background ⊃ processes ⊃ requests ⊃ the reader

End of file, a signal, ``shutdown`` and a client that went all end the reader, and nothing else does. Then every group
is stopped while the requests in flight have their time to be answered; each process reports its end; what got away is
swept up; what is queued leaves, as long as the client takes of it. All of it is over within the 5 s of the wire
(section 5).
"""

import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, NamedTuple

import trio

from execserver.lines import LineSplitter, Oversized
from execserver.server.eager import StandingBy
from execserver.server.limits import Limits
from execserver.server.outbox import Outbox
from execserver.server.processes import Processes, Spawn
from execserver.server.rpc import Rpc, Unfinished
from execserver.server.session import Session
from execserver.server.stdio import Wire

logger = logging.getLogger(__name__)

ANSWERS_BYTES: Final = 4 * 1024 * 1024  # queued beyond this, no further request is begun
# Of the reader: a read may hold 2,000 starts, and what else is to be done waits meanwhile. One start takes longer than
# this and ends the turn, so that the ends of other children are told while that child runs. But if it has ended already
# (it was given this core, and we waited for it) another is started: else nothing runs beside us.
TURN_SECONDS: Final = 0.0003
STARTING_SECONDS: Final = 0.0015  # and not for longer
_LOOK_SECONDS: Final = 0.2  # between looks for the end of input behind requests that are not read
# Requests behind 4 MiB of answers, when the client has closed its end already: they are begun as long as it reads,
UNREAD_SECONDS: Final = 1.2  # which it does not if it has taken nothing for so long,
BEHIND_SECONDS: Final = 1.5  # and no longer than this after its end

# The end, all within 5 s (wire, section 5). What comes to its end sooner is not waited for.
REQUEST_SECONDS: Final = 1.7  # for the requests in flight
SHUTDOWN_GRACE_SECONDS: Final = 1.5  # from SIGTERM to SIGKILL
SHUTDOWN_DRAIN_SECONDS: Final = 0.5  # from the exit to the end of the streams
PROCESS_SECONDS: Final = SHUTDOWN_GRACE_SECONDS + SHUTDOWN_DRAIN_SECONDS + 0.5  # then a client that stalls is left
STALL_SECONDS: Final = 0.7  # without a byte taken: nobody reads what is left
END_SECONDS: Final = 4.3  # from the end of input to the last flush; the interpreter has the rest


class Host(NamedTuple):
    """What the process that serves provides: the daemon all of it, a server inside another program less."""

    spawn: Spawn
    prepare: Callable[[], None]  # for the next spawn; called when nobody waits for an answer
    background: Callable[[Callable[[str], None]], Awaitable[None]]  # runs beside the session, and may end it
    sweep: Callable[[], Awaitable[None]]  # ends what got away from its group, when all processes have ended


async def serve(wire: Wire, host: Host, limits: Limits) -> None:
    """Serve until the session ends, then until all of it has ended."""
    outbox = Outbox(wire)
    reading = trio.CancelScope()

    def end(cause: str) -> None:
        logger.info("the session ends: %s", cause)
        reading.cancel()

    async with trio.open_nursery() as background:
        background.start_soon(_end_after, outbox.run, end, "the output cannot be written any more")
        background.start_soon(_end_after, wire.wait_gone, end, "the client closed our output")
        async with trio.open_nursery() as owners:
            processes = Processes(
                outbox, owners, host.spawn, retain_bytes=limits.retain_bytes, retain_seconds=limits.retain_seconds
            )
            background.start_soon(processes.retention.run)
            background.start_soon(host.background, end)
            async with trio.open_nursery() as requests:
                session = Session(processes, outbox, requests, lambda: end("shutdown"))
                rpc = Rpc(session, session.initialize, max_in_flight=limits.max_in_flight)
                reader = _Reader(wire, rpc, outbox, requests, limits.max_line_bytes, processes, host.prepare)
                with reading:
                    await reader.run()
                    end("end of file")
                began = trio.current_time()
                processes.stop_all(SHUTDOWN_GRACE_SECONDS, SHUTDOWN_DRAIN_SECONDS)
                requests.cancel_scope.deadline = began + REQUEST_SECONDS
                owners.cancel_scope.deadline = began + PROCESS_SECONDS
                requests.start_soon(reader.see_through)
            await session.aclose()
        await host.sweep()
        since = began if reader.input_ended_at is None else reader.input_ended_at
        await _flush(outbox, since + END_SECONDS)
        background.cancel_scope.cancel()


async def _flush(outbox: Outbox, deadline: float) -> None:
    """Wait until all that is queued has left, as long as the client takes of it."""
    taken = -1
    while outbox.backlog and outbox.written > taken:
        taken = outbox.written
        with trio.move_on_at(min(deadline, trio.current_time() + STALL_SECONDS)):
            await outbox.room(1)


async def _end_after(wait: Callable[[], Awaitable[None]], end: Callable[[str], None], cause: str) -> None:
    await wait()
    end(cause)


class _Reader:
    """Begins the requests, in the order of their lines."""

    def __init__(
        self,
        wire: Wire,
        rpc: Rpc,
        outbox: Outbox,
        requests: trio.Nursery,
        max_line_bytes: int,
        processes: Processes,
        prepare: Callable[[], None],
    ) -> None:
        """``prepare`` is called behind the answers to the lines that came together."""
        self._wire = wire
        self._rpc = rpc
        self._outbox = outbox
        self._requests = requests
        self._splitter = LineSplitter(max_line_bytes)
        self._processes = processes
        self._prepare = prepare
        self._standing_by: set[Unfinished] = set()
        self._none_stands_by: trio.Event | None = None  # where that is waited for
        self.input_ended_at: float | None = None  # where that was seen before it was read

    async def run(self) -> None:
        """Return at end of file."""
        while True:
            data = await self._wire.receive()
            lines = self._splitter.feed(data) if data else self._splitter.finish()
            self._outbox.cork()  # one write for the answers to one read
            began = time.monotonic()
            for line in lines:
                self._begin(line)
                if self._turn_is_over(time.monotonic() - began):
                    await self._let_others_run()
                    self._outbox.cork()
                    began = time.monotonic()
                if self._outbox.backlog > ANSWERS_BYTES and not await self._wait_for_client():
                    return
            self._processes.read_ahead()
            lines, line = [], b""  # neither is kept while waiting for the next
            self._outbox.flush()
            if not data:
                return
            self._rpc.prepare()
            self._prepare()

    def _begin(self, line: bytes | Oversized) -> None:
        """Begin one request. Never yields: what a handler does before it has to wait is done in the order of lines."""
        outcome = self._rpc.begin(line)
        if isinstance(outcome, Unfinished):
            if isinstance(outcome.waits, StandingBy):
                self._standing_by.add(outcome)
                outcome.waits.subscribe(partial(self._resume, outcome))
            else:
                self._requests.start_soon(self._finish, outcome)
        elif outcome is not None:
            self._outbox.post(outcome)

    async def _let_others_run(self) -> None:
        """The answers leave with the first thing that others say, one write less, and before the next turn."""
        self._outbox.uncork()
        try:
            await trio.lowlevel.checkpoint()
        finally:
            self._outbox.flush()

    def _turn_is_over(self, seconds: float) -> bool:
        return seconds > TURN_SECONDS and (seconds > STARTING_SECONDS or not self._processes.newest_has_ended())

    async def _finish(self, unfinished: Unfinished) -> None:
        try:
            answer = await self._rpc.finish(unfinished)
        except trio.Cancelled:
            self._outbox.post(self._rpc.give_up(unfinished))
            raise
        self._outbox.post(answer)

    def _resume(self, unfinished: Unfinished) -> None:
        """Answer a request that stood by, unless it was given up meanwhile."""
        if unfinished in self._standing_by:
            self._standing_by.remove(unfinished)
            self._outbox.post(self._rpc.resume(unfinished))
            if not self._standing_by and self._none_stands_by is not None:
                self._none_stands_by.set()

    async def see_through(self) -> None:
        """Wait for the requests that stand by, when no more begin. What is left of them when cancelled is given up."""
        try:
            if self._standing_by:
                self._none_stands_by = trio.Event()
                await self._none_stands_by.wait()
        finally:
            while self._standing_by:
                self._outbox.post(self._rpc.give_up(self._standing_by.pop()))

    async def _wait_for_client(self) -> bool:
        """Wait until the client has read of its answers; False where it has closed its own end and is not fast enough.

        However slowly it reads, the session must end within its time: no progress renews `BEHIND_SECONDS`.
        """
        self._outbox.flush()
        taken, taken_at = self._outbox.written, trio.current_time()
        while self._outbox.backlog > ANSWERS_BYTES:
            with trio.move_on_after(_LOOK_SECONDS):
                await self._outbox.room(ANSWERS_BYTES)
            now = trio.current_time()
            if self._outbox.written > taken:
                taken, taken_at = self._outbox.written, now
            if self._wire.input_has_ended():
                if self.input_ended_at is None:
                    self.input_ended_at = now
                if now >= min(taken_at + UNREAD_SECONDS, self.input_ended_at + BEHIND_SECONDS):
                    return False
        self._outbox.cork()
        return True
