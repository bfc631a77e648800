"""A daemon's process and its three pipes, served by one thread.

The thread alone touches the selector, and closes stdin; other threads write to stdin what the pipe takes at once, under
the lock, and ring when there is more.
"""

import contextlib
import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from typing import IO

from execserver.client import launch
from execserver.client.core import ClientCore
from execserver.client.daemon import LAST_WORDS_SECONDS, Daemon
from execserver.client.ending import Ending
from execserver.client.outgoing import Outgoing
from execserver.client.pause import Pause
from execserver.client.stderr import Stderr
from execserver.client.sync_driver import SyncDriver


class Pipes(SyncDriver):
    """See the module's docstring."""

    def __init__(
        self,
        command: Sequence[str] | None,
        env: Mapping[str, str] | None,
        cwd: str | os.PathLike[str] | None,
        core: ClientCore,
        *,
        forward_stderr: bool,
    ) -> None:
        super().__init__(core)
        argv, group = launch.command_line(command)
        self.daemon = Daemon(core, argv[0], Stderr(forward=forward_stderr), self._part_later)
        self._part_at: float | None = None
        self._buffer = bytearray(launch.READ_BYTES)  # of its output, used again
        self._outgoing = Outgoing(core.take_outgoing)
        self._closing = False
        self._stopping = False
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(
            argv, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, env=env, cwd=cwd, process_group=group
        )
        streams = (self._child.stdin, self._child.stdout, self._child.stderr)
        self._input, self._output, self._errors = (_non_blocking(stream) for stream in streams)
        launch.enlarge_pipe(self._output.fileno())
        self._life = os.pidfd_open(self._child.pid) if hasattr(os, "pidfd_open") else None
        self._bell, self._ring = os.pipe()  # not pipe2(2), which is not everywhere
        os.set_blocking(self._bell, False)
        os.set_blocking(self._ring, False)
        self._selector = DefaultSelector()
        core.send_soon = self._send_soon
        name = f"execserver client of {argv[0]}"
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    # From any thread

    def end(self, timeout: float) -> None:
        """End the daemon, whatever it does, and close everything."""
        ending = Ending(self.daemon, timeout, self.clock, self._child.send_signal)
        try:
            self._close()
            self.wait(ending)
        except BaseException:  # Ctrl-C again: at once, then
            self._close()  # which it may have interrupted
            ending.kill()
            self.wait(ending)
            raise
        finally:
            self._stopping = True
            self._wake_thread()
            self._thread.join()
            self._selector.close()
            for descriptor in (self._bell, self._ring, *([] if self._life is None else [self._life])):
                os.close(descriptor)
            self._input.close()
            self._output.close()
            self._errors.close()

    def _close(self) -> None:
        """Let nobody wait for the daemon any more, and close its stdin. Repeating it is no error."""
        with self.lock:
            self.core.close()
        self._closing = True
        self._wake_thread()

    def _send_soon(self) -> None:
        """Write what the core has to send, as far as the pipe takes it; the rest is the thread's. Called locked."""
        if not self._outgoing and not self._closing:
            self._outgoing.write(self._input.fileno())
            if self._outgoing:
                self._wake_thread()

    def _wake_thread(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full: it rings already
            os.write(self._ring, b"!")

    # The thread

    def _serve(self) -> None:
        """Move bytes until `end`. Whatever ends this thread ends the connection: nobody else would wake who waits."""
        try:
            self._move_bytes()
        except BaseException as error:
            self._child.kill()  # there is nobody left to read what it says, or to see it end
            status = self._child.wait()
            with self.lock:
                self.core.end_of_file(f"the thread that reads from {self.daemon.name} failed: {error!r}")
                self.daemon.exited(status)
            raise

    def _move_bytes(self) -> None:
        watch = self._selector.register
        watch(self._bell, EVENT_READ, lambda: os.read(self._bell, 4096))
        watch(self._output.fileno(), EVENT_READ, self._read_output)
        watch(self._errors.fileno(), EVENT_READ, self._read_errors)
        watch(self._input.fileno(), EVENT_READ, self._input_broke)
        if self._life is not None:
            watch(self._life, EVENT_READ, self._reap)
        while not self._stopping:
            patience = None if self._part_at is None else max(0.0, self._part_at - self.clock())
            if self._life is None and self.daemon.status is None:
                patience = 0.05  # no pidfd here: the end must be looked for
                self._reap()
            for key, _ in self._selector.select(patience):
                key.data()
            self._tend_input()
            if self._part_at is not None and self.clock() >= self._part_at:
                self._part_at = None
                with self.lock:
                    self.daemon.part()

    def _part_later(self) -> None:
        self._part_at = self.clock() + LAST_WORDS_SECONDS

    def _see_end(self, descriptor: int, fact: Callable[[], None]) -> None:
        """Watch ``descriptor`` no more, and tell what that means for the daemon."""
        self._selector.unregister(descriptor)
        with self.lock:
            fact()

    def _reap(self) -> None:
        if (status := self._child.poll()) is not None:
            if self._life is not None:
                self._selector.unregister(self._life)
            with self.lock:
                self.daemon.exited(status)

    def _tend_input(self) -> None:
        """Finish what a caller could not write, and close stdin when the end has come."""
        with self.lock:
            if self._input.closed:
                return
            descriptor = self._input.fileno()
            watched = descriptor in self._selector.get_map()  # until it is broken
            if self._closing:
                if watched:
                    self._selector.unregister(descriptor)
                self._input.close()
            elif watched and self._outgoing:
                self._selector.modify(descriptor, EVENT_WRITE, self._write_more)
            elif watched:  # a pipe's write end is "readable" when it is broken (poll(2))
                self._selector.modify(descriptor, EVENT_READ, self._input_broke)

    def _input_broke(self) -> None:
        self._see_end(self._input.fileno(), self.daemon.input_broken)

    def _write_more(self) -> None:
        with self.lock:
            self._outgoing.write(self._input.fileno())

    def _read_output(self) -> None:
        if size := os.readv(self._output.fileno(), [self._buffer]):
            with self.lock:
                self.core.feed(self._buffer, size)
                if self.core.laggards:
                    self.wait(Pause(self.core, threads=True))
        else:
            self._see_end(self._output.fileno(), self.daemon.output_ended)

    def _read_errors(self) -> None:
        if data := os.read(self._errors.fileno(), launch.READ_BYTES):
            self.daemon.stderr.add(data)
        else:
            self._see_end(self._errors.fileno(), self.daemon.errors_ended)


def _non_blocking(stream: IO[bytes] | None) -> IO[bytes]:
    """Our end of a pipe is nobody else's: the flag hurts nobody."""
    assert stream is not None
    os.set_blocking(stream.fileno(), False)
    return stream
