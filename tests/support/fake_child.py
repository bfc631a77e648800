"""A child that needs no kernel, for virtual time: it says, takes and survives what the test tells it to.

It is a `Child` of `execserver.server.child`. What is kernel fact there is modelled here: a pipe is at end of file when
everyone who holds it has ended, SIGKILL ends everyone, a group is gone with its last member.
"""

import signal
from collections.abc import Collection

import trio

from execserver.server.child import CHUNK_BYTES, Ended
from execserver.server.posix_child import signal_name
from execserver.wire.process import Stream

_DEADLY = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL)


class FakeSource:
    """One stream: a pipe without a kernel."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.endless = b""  # what every read finds, for a child that floods
        self.was_read = 0
        self.closed = False
        self._held = bytearray()
        self._ended = False
        self._changed = trio.Event()

    def say(self, data: bytes) -> None:
        """Write to the stream, as the child."""
        assert not self._ended, "whoever holds the pipe has ended"
        self._held += data
        self._change()

    def flood(self, chunk: bytes) -> None:
        """Never run out of this chunk."""
        self.endless = chunk
        self._change()

    def flush(self) -> None:
        """Throw away what the child said and nobody has read, as tcflush(3) of a terminal does."""
        self._held.clear()

    def end(self) -> None:
        """End the file."""
        self._ended = True
        self.endless = b""
        self._change()

    def read(self) -> bytes:
        if self.closed:
            return b""
        data = bytes(self._held[:CHUNK_BYTES]) or self.endless
        if not data and not self._ended:
            raise BlockingIOError
        del self._held[: len(data)]
        self.was_read += len(data)
        return data

    async def wait_readable(self) -> None:
        await trio.lowlevel.checkpoint()
        while not (self._held or self.endless or self._ended):
            if self.closed:
                raise trio.ClosedResourceError
            self._changed = trio.Event()
            await self._changed.wait()

    def held(self) -> int:
        return 0 if self.closed else len(self._held) + len(self.endless)

    def close(self) -> None:
        self.closed = True
        self._change()

    def _change(self) -> None:
        self._changed.set()


class FakeChild:
    """A leader, perhaps with a descendant in its group, and perhaps with one that got away and holds its pipes."""

    def __init__(
        self,
        *,
        tty: bool = False,
        ignores: Collection[int] = (),
        uninterruptible: bool = False,
        descendant_ignores: Collection[int] | None = None,
        escaped: bool = False,
        keeps_terminal: bool = False,
    ) -> None:
        """``descendant_ignores`` is None where there is no descendant; ``keeps_terminal``: no hangup at the end."""
        self.pid = 4321
        self.tty = tty
        streams: tuple[Stream, ...] = ("pty",) if tty else ("stdout", "stderr")
        self.sources = [FakeSource(stream) for stream in streams]
        self.signals: list[tuple[float, int]] = []  # when, and which
        self.sizes: list[tuple[int, int]] = []
        self.escaped = escaped
        self.closed = False
        self.reaped = False
        self.reported = False  # to its kin, that it was reaped
        self.ended: Ended | None = None
        self._ignores = ignores
        self._uninterruptible = uninterruptible
        self._descendant_ignores = descendant_ignores
        self._has_descendant = descendant_ignores is not None
        self._keeps_terminal = keeps_terminal
        self._end = trio.Event()
        self.noticed_after = 0.0  # seconds, by who waits for its end
        # Its stdin.
        self.took = b""
        self.appetite: int | None = None  # bytes that it still takes; None is no limit
        self.echoes = False
        self.stdin_closed = False
        self.reads_no_more = False
        self._hungry = trio.Event()

    # What a test does with it.

    def says(self, data: bytes, stream: Stream = "stdout") -> None:
        self.source(stream).say(data)

    def source(self, stream: Stream) -> FakeSource:
        return self.sources[0] if self.tty else self.sources[stream == "stderr"]

    def exits(self, code: int = 0) -> None:
        """End the leader."""
        self._end_leader(Ended(code, None, False, 0.012, 0.034))

    def closes_its_streams(self) -> None:
        """Close its own ends of all of them, and go on."""
        for source in self.sources:
            source.end()

    def descendant_ends(self) -> None:
        """End who was left of the group."""
        self._has_descendant = False
        self._end_streams()

    def last_holder_ends(self) -> None:
        """End whoever got away with the pipes, or the terminal."""
        self.escaped = self._keeps_terminal = False
        self._end_streams()

    def eats(self, count: int) -> None:
        """Read so much more of stdin, and no more after that."""
        self.appetite = (self.appetite or 0) + count
        self._hungry.set()

    def stops_reading(self) -> None:
        """Close its own end of stdin."""
        self.reads_no_more = True
        self._hungry.set()

    # What the server does with it.

    async def wait_ended(self) -> None:
        await self._end.wait()
        if self.noticed_after:
            await trio.sleep(self.noticed_after)

    def has_ended(self) -> bool:
        return self.ended is not None

    def reap(self) -> Ended:
        assert self.ended is not None
        assert not self.reaped
        self.reaped = True
        return self.ended

    def report_reaped(self) -> None:
        self.reported = self.reaped

    def signal_group(self, number: int) -> bool:
        if not self.has_group():
            return False
        self.signals.append((trio.current_time(), number))
        if number in _DEADLY:
            if self._descendant_ignores is not None and not self._survives(number, self._descendant_ignores):
                self._has_descendant = False
            if self.ended is None and not self._survives(number, self._ignores):
                self._end_leader(Ended(128 + number, signal_name(number), False, 0.0, 0.0))
            self._end_streams()
        return True

    def has_group(self) -> bool:
        return not self.reaped or self._has_descendant

    def write(self, data: bytes | memoryview) -> int:
        if self.stdin_closed or self.reads_no_more:
            raise BrokenPipeError
        if self.appetite == 0:
            raise BlockingIOError
        taken = bytes(data[: self.appetite])
        self.took += taken
        if self.appetite is not None:
            self.appetite -= len(taken)
        if self.echoes:
            self.says(taken)
        return len(taken)

    async def wait_writable(self) -> None:
        await trio.lowlevel.checkpoint()
        while self.appetite == 0 and not self.reads_no_more:
            if self.stdin_closed:
                raise trio.ClosedResourceError
            self._hungry = trio.Event()
            await self._hungry.wait()

    def close_stdin(self) -> None:
        if not self.tty:
            self.stdin_closed = True
            self._hungry.set()

    def end_of_file(self, after: bytes) -> bytes:
        return b"\4" if after in (b"", b"\n", b"\r", b"\4") else b"\4\4"

    def resize(self, rows: int, cols: int) -> None:
        self.sizes.append((rows, cols))

    def close(self) -> None:
        self.closed = self.stdin_closed = True
        self._hungry.set()
        for source in self.sources:
            source.close()

    def _survives(self, number: int, ignored: Collection[int]) -> bool:
        return self._uninterruptible or (number != signal.SIGKILL and number in ignored)

    def _end_leader(self, ended: Ended) -> None:
        self.ended = ended
        self._end.set()
        self._end_streams()

    def _end_streams(self) -> None:
        held = self.ended is None or self._has_descendant or self.escaped
        if self._keeps_terminal if self.tty and self.ended else held:
            return
        for source in self.sources:
            source.end()
