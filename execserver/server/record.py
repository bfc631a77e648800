"""What is kept of a process from its start until it is forgotten: what was asked, how it ended, and its log. No I/O.

The rest (descriptors, queues, timers) is the `Process`, which is there only until the close: a daemon that has run
100,000 processes in an hour retains thousands of them.
"""

from typing import Any

import msgspec

from execserver.server.child import Ended
from execserver.server.log import EventLog
from execserver.wire.process import ProcessInfo, ProcessState, StartParams


class Record:
    """One process, as ``process/list`` and ``process/read`` see it."""

    __slots__ = ("argv", "cwd", "ended", "log", "metadata", "pid", "process_id", "started_at_ms", "tty")

    def __init__(self, params: StartParams, *, pid: int, cwd: str, started_at_ms: int, retain_bytes: int) -> None:
        self.process_id = params.process_id
        self.pid = pid
        self.argv = params.argv
        self.cwd = cwd
        self.tty = params.tty
        self.metadata: dict[str, Any] | None = params.metadata
        self.started_at_ms = started_at_ms
        self.log = EventLog(retain_bytes)
        self.ended: Ended | None = None

    @property
    def size(self) -> int:
        """Bytes that are retained, besides the objects themselves: output, and what the client sent."""
        sent = (
            len(self.process_id)
            + sum(map(len, self.argv))
            + (len(msgspec.json.encode(self.metadata)) if self.metadata else 0)
        )
        return self.log.retained_bytes + sent

    def info(self) -> ProcessInfo:
        """Describe it."""
        log, ended = self.log, self.ended
        state: ProcessState = "running" if ended is None else "exited" if log.closed_seq is None else "closed"
        return ProcessInfo(
            process_id=self.process_id,
            pid=self.pid,
            argv=self.argv,
            cwd=self.cwd,
            tty=self.tty,
            state=state,
            started_at_ms=self.started_at_ms,
            exit_code=None if ended is None else ended.exit_code,
            signal=None if ended is None else ended.signal,
            next_seq=log.next_seq,
            retained_bytes=log.retained_bytes,
            metadata=self.metadata,
        )
