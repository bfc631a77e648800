"""One process, from its spawn to its close, and the one task that owns it: `Process.supervise`.

The rules (wire, section 3). All that the child itself wrote is numbered before its exit: what its streams hold then
(FIONREAD) is *owed*, and when that much has been read `exited` takes its number. It never waits for end of file, since
a descendant may hold a pipe for ever. `closed` comes when every stream is at end of file, or when the drain is over.
Handlers only read this state, stop it, or write stdin.
"""

import math
import signal
from collections.abc import Callable
from typing import Final

import trio

from execserver.server.child import CHUNK_BYTES, Child, Source
from execserver.server.ending import Ending
from execserver.server.idleness import Idleness
from execserver.server.outbox import Outbox
from execserver.server.push import Pusher
from execserver.server.record import Record
from execserver.server.stdin import Delivery, Stdin
from execserver.wire.base import to_seconds
from execserver.wire.process import CloseReason, StartParams

LARGE_BYTES: Final = 8 * 1024  # a pump whose last chunk was this large waits for its turn before the next
# EIO follows a session leader's end within 1 ms, unless a descendant ignores SIGHUP and so keeps the terminal.
HANGUP_SECONDS: Final = 0.2
_UNTIL_END_OF_FILE: Final = math.inf


class Process:
    """A process that is not closed yet. What outlives the close is its `Record`."""

    def __init__(
        self,
        params: StartParams,
        record: Record,
        child: Child,
        outbox: Outbox,
        nursery: trio.Nursery,
        retain: Callable[["Process"], None],
    ) -> None:
        """``nursery`` outlives the process. ``retain`` is called when the close has left; nothing yields in between."""
        self.record = record
        self.child = child
        self.log = record.log
        self.stdin = Stdin(child, is_open=params.pipe_stdin or child.tty)
        self.ending = Ending(child, nursery, self._cut)
        self._drain_seconds = None if params.drain_ms is None else to_seconds(params.drain_ms)
        self._outbox = outbox
        self._nursery = nursery
        self._retain = retain
        self._pusher = Pusher(params.process_id)
        self._started = trio.current_time()
        self._duration = 0.0
        self._open = list(child.sources)
        self._awaited: set[Source] = set()  # whose pump waits for them to say something
        self._owed: dict[Source, float] = {}  # bytes of the child's own that are still to be read
        self._cut_at: dict[Source, int] | None = None  # once the drain is over: bytes that are still taken
        if params.timeout_ms is not None:
            self.ending.stop_after(to_seconds(params.timeout_ms), "timeout")
        self._idleness: Idleness | None = None
        if params.idle_timeout_ms is not None:
            self._idleness = Idleness(to_seconds(params.idle_timeout_ms), self.ending, self._has_unread)
            nursery.start_soon(self._idleness.watch)

    async def supervise(self) -> None:
        """Own the child: pump its streams, wait for its exit, number its end. Whatever happens, it is ended then."""
        try:
            if self.child.has_ended():
                self._read_remains()
            if self.log.closed_seq is None:
                await self._follow()
        except BaseException:
            self.child.signal_group(signal.SIGKILL)
            raise
        finally:
            self.ending.note_streams_ended()
            self.stdin.end()
            self.child.close()
            self.child.report_reaped()

    def write(self, data: bytes, write_id: str | None, closing: bool) -> Delivery:
        """Begin a write to stdin, see `Stdin.write`. Never yields."""
        had_backlog = self.stdin.has_backlog
        delivery = self.stdin.write(data, write_id, closing)
        if self.stdin.has_backlog and not had_backlog:
            self._nursery.start_soon(self.stdin.feed)
        return delivery

    def read_ahead(self) -> None:
        """Read what is there of what the pumps wait for, without a pass of the scheduler. Never yields.

        What is large is left to the pumps, and so is all of it when the outbox has no room or the drain has ended.
        """
        if self._cut_at is None and self._outbox.has_room:
            for source in self._awaited:
                if 0 < source.held() < LARGE_BYTES:
                    self._read(source)

    @property
    def running(self) -> bool:
        """Whether the child, the leader of its group, still runs."""
        return self.record.ended is None

    def _read_remains(self) -> None:
        """Read what a child left that has ended already, if it is little: a process that is over needs no tasks."""
        for source in self.child.sources:
            for _ in range(2):  # a chunk, and the end of file; if a descendant writes on, that is for a pump
                data = self._read(source) if self._outbox.has_room else None
                if data == b"":
                    self._note_end_of_file(source)
                if not data or len(data) >= LARGE_BYTES:
                    break

    async def _follow(self) -> None:
        """Pump the streams, and wait for the exit."""
        async with trio.open_nursery() as pumps:
            for source in self._open:
                pumps.start_soon(self._pump, source)
            await self.child.wait_ended()
            if self._open:
                await trio.lowlevel.cancel_shielded_checkpoint()  # pumps may be about to find the end of file
            if self._open:
                self._reap()
                self.child.report_reaped()
        self._close_if_over()

    async def _pump(self, source: Source) -> None:
        """Read one stream to its end. Reads only what the outbox has room for: the pipe itself is the brake."""
        large = False
        while True:
            if large:
                await self._outbox.turn()
            else:
                await self._outbox.room()
            try:
                data = self._read(source)
            finally:
                if large:
                    self._outbox.pass_turn()
            if data == b"" or (self._cut_at is not None and (data is None or self._cut_at[source] <= 0)):
                break
            if data is None and self._owed.get(source, math.inf) < math.inf:
                self._settle(source)  # what was there has been thrown away (tcflush), or read by somebody else
            large = data is not None and len(data) >= LARGE_BYTES
            if data is None or len(data) < CHUNK_BYTES:
                self._awaited.add(source)
                try:
                    await source.wait_readable()
                except trio.ClosedResourceError:  # cut at the end of the drain
                    break
                finally:
                    self._awaited.discard(source)
        self._note_end_of_file(source)

    def _note_end_of_file(self, source: Source) -> None:
        self._open.remove(source)
        self._settle(source)
        self._close_if_over()  # the last one nearly always ends with the child, and the owner is two passes away
        source.close()

    def _read(self, source: Source) -> bytes | None:
        """Read once, and pass it on; empty at end of file, None where nothing is there."""
        try:
            data = source.read()
        except BlockingIOError:
            return None
        if data:
            self._take(source, data)
        return data

    def _take(self, source: Source, data: bytes) -> None:
        """Number a chunk, push it, keep it. A checkpoint here would let another event take its place."""
        if self._cut_at is not None:
            data = data[: self._cut_at[source]]
            self._cut_at[source] -= len(data)
        seq = self.log.append_output(source.stream, data)
        position = self._outbox.post(self._pusher.output(seq, source.stream, data))
        self.log.sent(seq, position, self._outbox.written)
        if self._idleness is not None:
            self._idleness.note_output()
        if source in self._owed:
            self._owed[source] -= len(data)
            if self._owed[source] <= 0:
                self._settle(source)

    def _settle(self, source: Source) -> None:
        """Note that a stream owes nothing any more; the last one to do so lets the exit be numbered."""
        if self._owed.pop(source, None) is not None and not self._owed:
            self._announce_exited()

    def _close_if_over(self) -> None:
        """Number the close, and in the same write the exit if it is not, once the child and all streams have ended."""
        if self._open or self.log.closed_seq is not None or not self.child.has_ended():
            return
        self._outbox.cork()
        try:
            if self.running:
                self._reap()
            log = self.log
            reason: CloseReason = "endOfFile" if self._cut_at is None else "drainTimeout"
            self._outbox.post(self._pusher.closed(log.append_closed(), log.stdout_bytes, log.stderr_bytes, reason))
        finally:
            self._outbox.flush()
        self.child.report_reaped()  # this and the next need not be waited for, and nothing comes in between
        self._retain(self)

    def _reap(self) -> None:
        """Learn how the child ended, and what of its own is still to be read before that may be told."""
        self.record.ended = self.child.reap()
        self._duration = trio.current_time() - self._started
        self.ending.note_child_ended()
        self.stdin.end()
        if self.child.tty and self._open:
            self._owed = dict.fromkeys(self._open, _UNTIL_END_OF_FILE)
            self.ending.at_hangup(HANGUP_SECONDS, self._stop_waiting_for_hangup)
        else:
            self._owed = {source: held for source in self._open if (held := source.held())}
        if not self._owed:
            self._announce_exited()

    def _stop_waiting_for_hangup(self) -> None:
        for source in list(self._owed):
            self._owed[source] = source.held()
            if not self._owed[source]:
                self._settle(source)

    def _cut(self) -> None:
        """End the drain: what the streams hold now is still taken, and no more."""
        self._cut_at = {source: source.held() for source in self._open}
        for source, held in self._cut_at.items():
            if not held:
                source.close()

    def _has_unread(self) -> bool:
        return any(source.held() for source in self._open)

    def _announce_exited(self) -> None:
        ended = self.record.ended
        assert ended is not None
        seq = self.log.append_exited(ended.exit_code)
        self._outbox.post(self._pusher.exited(seq, ended, self.ending.stop_reason, self._duration))
        if self._drain_seconds is not None:
            self.ending.bound_drain(self._drain_seconds)
        if self.ending.stop_reason is not None:
            self.ending.bound_drain_of_the_stopped()
