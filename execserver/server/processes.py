"""The processes of a session, and the handlers of ``process/*``.

No handler here waits, but for a long poll, which steps aside, and for a write that the child does not take at once,
which stands by.
"""

import os
import signal
import time
from collections.abc import Callable
from typing import Final

import trio

from execserver.server.child import Child
from execserver.server.confinement import refuse_confinement
from execserver.server.eager import stand_by, step_aside
from execserver.server.ending import GRACE_SECONDS, Ending
from execserver.server.environment import child_environment
from execserver.server.log import PAGE_BYTES
from execserver.server.method import Method
from execserver.server.outbox import Outbox
from execserver.server.paths import parse_path, shown
from execserver.server.process import LARGE_BYTES, Process
from execserver.server.record import Record
from execserver.server.retention import Retention
from execserver.server.spawn import Command
from execserver.wire import process as wire
from execserver.wire.base import Empty, to_seconds
from execserver.wire.errors import INVALID_REQUEST, Fault, invalid_params

# It is in every notification, which may have 1 MiB: escaped (six bytes a character) beside the largest chunk it fits.
MAX_ID_LENGTH: Final = 64 * 1024
DEFAULT_SIZE: Final = (24, 80)

Spawn = Callable[[Command], Child]


class Processes:
    """Every process of the session by its id, running and retained, oldest first."""

    def __init__(
        self,
        outbox: Outbox,
        nursery: trio.Nursery,
        spawn: Spawn,
        *,
        retain_bytes: int,
        retain_seconds: float,
    ) -> None:
        """``nursery`` owns the processes: it ends when they have."""
        self._outbox = outbox
        self._nursery = nursery
        self._spawn = spawn
        self._retain_bytes = retain_bytes
        self._cwd = _server_cwd()
        self._records: dict[str, Record] = {}
        self._processes: dict[str, Process] = {}  # those that are not closed yet
        # Of those that are, where members of their group live on. By id and pid: either may be another's by now.
        self._leaderless: dict[tuple[str, int], Ending] = {}
        self._fed: set[Process] = set()  # since the last `read_ahead`
        self._newest: Child | None = None  # started since the last `newest_has_ended`
        self.retention = Retention(retain_seconds, self._forget)
        self.methods = {
            "process/start": Method(wire.StartParams, self.start),
            "process/read": Method(wire.ReadParams, self.read),
            "process/write": Method(wire.WriteParams, self.write),
            "process/signal": Method(wire.SignalParams, self.signal),
            "process/terminate": Method(wire.TerminateParams, self.terminate),
            "process/resize": Method(wire.ResizeParams, self.resize),
            "process/list": Method(Empty, self.list),
            "process/release": Method(wire.ReleaseParams, self.release),
        }

    async def start(self, params: wire.StartParams) -> wire.StartResult:
        """``process/start``: spawn, register, follow. A failed start leaves nothing behind."""
        refuse_confinement(
            sandbox=params.sandbox,
            enforce_managed_network=params.enforce_managed_network,
            managed_network=params.managed_network,
            network_proxy=params.network_proxy,
        )
        if len(params.process_id) > MAX_ID_LENGTH:
            raise invalid_params(
                "$.processId", f"Expected at most {MAX_ID_LENGTH} characters, got {len(params.process_id)}"
            )
        if params.process_id in self._records:
            raise Fault(INVALID_REQUEST, f"process {params.process_id} already exists", "processExists")
        if not params.argv:
            raise invalid_params("$.argv", "argv must not be empty")
        cwd = None if params.cwd is None else parse_path(params.cwd, "cwd")
        command = Command(
            argv=params.argv,
            arg0=params.arg0,
            cwd=cwd,
            env=child_environment(params.env, params.env_policy, os.environ),
            size=_size(params),
            pipe_stdin=params.pipe_stdin,
            merge_stderr=params.merge_stderr,
        )
        child = self._newest = self._spawn(command)
        record = Record(
            params,
            pid=child.pid,
            cwd=shown(cwd or self._cwd),
            started_at_ms=time.time_ns() // 1_000_000,
            retain_bytes=self._retain_bytes,
        )
        process = Process(params, record, child, self._outbox, self._nursery, self._retain)
        self._records[params.process_id] = record
        self._processes[params.process_id] = process
        self._nursery.start_soon(process.supervise)
        return wire.StartResult(process_id=params.process_id, pid=child.pid)

    async def read(self, params: wire.ReadParams) -> wire.ReadResult:
        """``process/read``: a page; where there is nothing new, wait for it up to ``waitMs``."""
        log = self._record(params.process_id).log
        after_seq = params.after_seq or 0
        max_bytes = PAGE_BYTES if params.max_bytes is None else params.max_bytes
        if params.wait_ms and not log.has_news(after_seq):
            await step_aside()
            with trio.move_on_after(to_seconds(params.wait_ms)):
                while not log.has_news(after_seq):
                    await log.wait_for_append()
        return log.read(after_seq, max_bytes)

    async def write(self, params: wire.WriteParams) -> wire.WriteResult:
        """``process/write``: answered when the kernel has all of the chunk, or never will."""
        process = self._processes.get(params.process_id)
        if process is None:
            return wire.WriteResult("stdinClosed" if params.process_id in self._records else "unknownProcess")
        delivery = process.write(params.chunk, params.write_id, params.close_stdin)
        if len(params.chunk) < LARGE_BYTES:
            self._fed.add(process)
        if delivery.status is None:
            await stand_by(delivery.when_decided)
        assert delivery.status is not None
        return wire.WriteResult(delivery.status)

    async def signal(self, params: wire.SignalParams) -> wire.SignalResult:
        """``process/signal``: to the whole group, as long as its leader runs."""
        number = _signal_number(params.signal)
        process = self._processes.get(params.process_id)
        if process is None or not process.running:
            return wire.SignalResult(delivered=False)
        return wire.SignalResult(delivered=process.child.signal_group(number))

    async def terminate(self, params: wire.TerminateParams) -> wire.TerminateResult:
        """``process/terminate``: TERM, grace, KILL; answers at once. The leader may be gone, its group not."""
        record = self._records.get(params.process_id)
        if record is None:
            return wire.TerminateResult(running=False)
        running = record.ended is None
        process = self._processes.get(params.process_id)
        ending = self._leaderless.get((record.process_id, record.pid)) if process is None else process.ending
        if ending is not None:
            ending.stop("terminated", GRACE_SECONDS if params.grace_ms is None else to_seconds(params.grace_ms))
        return wire.TerminateResult(running=running)

    async def resize(self, params: wire.ResizeParams) -> Empty:
        """``process/resize``: of the terminal of a process that runs; afterwards there is nothing to resize."""
        if not self._record(params.process_id).tty:
            raise invalid_params("$.processId", f"process {params.process_id} has no terminal", "notATerminal")
        process = self._processes.get(params.process_id)
        if process is not None and process.running:
            process.child.resize(params.size.rows, params.size.cols)
        return Empty()

    async def list(self, _: Empty) -> wire.ListResult:
        """``process/list``."""
        return wire.ListResult([self._record(process_id).info() for process_id in self._records])

    async def release(self, params: wire.ReleaseParams) -> wire.ReleaseResult:
        """``process/release``: forget a closed process; one that runs is left alone."""
        return wire.ReleaseResult(released=self.retention.release(params.process_id))

    def read_ahead(self) -> None:
        """Read what the children have to say to what they were fed. Never yields.

        Many a child has answered by the time that the reader is done with its lines. So it is read in this very pass of
        the scheduler, and leaves in one write with what the reader answers.
        """
        for process in self._fed:
            process.read_ahead()
        self._fed.clear()

    def newest_has_ended(self) -> bool:
        """Whether the child that was started last has ended already. Of each child this is told once. Never yields."""
        newest, self._newest = self._newest, None
        return newest is not None and newest.has_ended()

    def stop_all(self, grace: float, drain: float) -> None:
        """Stop every group that has a member, be its process running, retained or forgotten."""
        for process in self._processes.values():
            process.ending.stop("shutdown", grace, drain)
        for ending in self._leaderless.values():
            ending.stop("shutdown", grace, drain)

    def _retain(self, process: Process) -> None:
        process_id = process.record.process_id
        del self._processes[process_id]
        if self._leaderless:
            self._leaderless = {key: ending for key, ending in self._leaderless.items() if ending.has_group()}
        if process.ending.has_group():
            self._leaderless[process_id, process.record.pid] = process.ending
        self.retention.keep(process_id, process.record.size)

    def _record(self, process_id: str) -> Record:
        record = self._records.get(process_id)
        if record is None:
            raise Fault(INVALID_REQUEST, f"unknown process id {process_id}", "unknownProcess")
        record.log.trim(self._outbox.written)  # its last output may have left only since
        return record

    def _forget(self, process_id: str) -> None:
        del self._records[process_id]


def _server_cwd() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "/"  # it was removed under us; a child that names no cwd starts in it all the same


def _size(params: wire.StartParams) -> tuple[int, int] | None:
    if not params.tty:
        return None
    return DEFAULT_SIZE if params.size is None else (params.size.rows, params.size.cols)


def _signal_number(name: str) -> int:
    """``interrupt``, ``INT`` or ``SIGINT``. Only names: a number would mean another signal on another system."""
    wanted = "SIGINT" if name == "interrupt" else name if name.startswith("SIG") else f"SIG{name}"
    try:
        return signal.Signals[wanted]
    except KeyError:
        raise invalid_params("$.signal", f"Expected `interrupt` or the name of a signal, got {name!r}") from None
