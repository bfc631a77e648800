"""``run()``: a whole command in one call. No I/O."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress

from execserver.client.core import ClientCore
from execserver.client.errors import ExecServerError, RpcError
from execserver.client.events import Closed, Event, Exited, Lost, Output
from execserver.client.process import ProcessCore, Write, check_bytes
from execserver.client.results import Result
from execserver.client.source import Finished, Source, nobody
from execserver.client.starting import RunOptions, StartOptions
from execserver.wire.errors import SERVER_ERROR


class Captured:
    """One stream's bytes: all of them, or head and tail within a bound."""

    def __init__(self, bound: int | None) -> None:
        self._head_room = None if bound is None else bound // 2
        self._tail_bound = 0 if bound is None else bound - bound // 2
        self._head: list[bytes] = []
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self.total = 0

    def add(self, data: bytes) -> None:
        """Take what came next."""
        self.total += len(data)
        if self._head_room is None:
            self._head.append(data)
            return
        if self._head_room:
            self._head.append(data[: self._head_room])
            data, self._head_room = data[self._head_room :], max(0, self._head_room - len(data))
        if data:
            self._tail.append(data)
            self._tail_bytes += len(data)
            while self._tail and self._tail_bytes - len(self._tail[0]) >= self._tail_bound:
                self._tail_bytes -= len(self._tail.popleft())

    def finish(self) -> tuple[bytes, int]:
        """Give what was kept, and how many bytes between head and tail were not."""
        tail = b"".join(self._tail)
        kept = b"".join(self._head) + tail[max(0, len(tail) - self._tail_bound) :]
        return kept, self.total - len(kept)


class Run(Source[Result]):
    """A process followed to its end, or for ``drain`` seconds after its exit.

    ``clock`` gives seconds; ``began`` is when the start was sent: the server's clock may have run since.
    """

    takes_turns = True

    def __init__(
        self,
        process: ProcessCore,
        clock: Callable[[], float],
        *,
        began: float,
        data: bytes | None,
        timeout: float | None,
        max_output: int | None,
        drain: float,
    ) -> None:
        self._process = process
        self._clock = clock
        self._began = began
        kept_by_server = keeps_timeout(process.core, timeout)
        self._kept_timeout = timeout if kept_by_server else None
        self._timeout_at = None if timeout is None or kept_by_server else began + timeout
        self._drain = drain
        self._drained_at: float | None = None
        self._captured = {"stdout": Captured(max_output), "stderr": Captured(max_output)}
        self._subscription = process.subscribe()
        self._exited: Exited | None = None
        self._ended_at = self._began
        self._closed: Closed | None = None
        self._lossy = False
        self._timed_out = False
        self._error: ExecServerError | None = None
        self._given_up = False
        self._input: Write | None = None if data is None else process.write(data, close=True)
        self._subscription.wake = self._stirred
        if self._input is not None:
            self._input.wake = self._stirred

    @property
    def patience(self) -> float | None:
        """Until the next deadline, or until the subscription asks the server."""
        limits = [self._subscription.patience]
        limits += [max(0.0, at - self._clock()) for at in (self._timeout_at, self._drained_at) if at is not None]
        return min((limit for limit in limits if limit is not None), default=None)

    def advance(self) -> bool:
        """Collect what has come; return whether that is all."""
        while not self._over and self._subscription.advance():
            try:
                self._collect(self._subscription.take())
            except Finished:  # without the close, which a server numbered below what it had sent
                self._given_up = True
            except ExecServerError as error:
                self._error = error
        if self._input is not None and self._input.advance():
            self._check_input(self._input)
        if self._drained_at is not None and self._clock() >= self._drained_at:
            self._given_up = True
        return self._over

    def expire(self) -> None:
        """See which deadline has passed; else nothing came for long."""
        if self._timeout_at is not None and self._clock() >= self._timeout_at:
            self._timeout_at = None
            self._timed_out = True
            self._terminate()
        elif self._drained_at is None or self._clock() < self._drained_at:
            self._subscription.expire()

    def take(self) -> Result:
        """Give the result, or the error that came before the exit."""
        self._detach()
        if self._error is not None:
            raise self._error
        if self._exited is None:
            problem = f"process {self._process.process_id} closed, and the server does not say how it exited"
            raise RpcError(SERVER_ERROR, problem)
        (stdout, left_out), (stderr, left_out_too) = (stream.finish() for stream in self._captured.values())
        exited = self._exited
        return Result(
            exited.exit_code,
            exited.signal,
            exited.reason,
            stdout,
            stderr,
            self._ended_at - self._began if exited.duration is None else exited.duration,
            timed_out=self._timed_out or self._server_timed_out(exited),
            complete=self._complete,
            omitted=left_out + left_out_too,
        )

    def cancel(self) -> None:
        """Nobody waits for the result: end the process."""
        self._detach()
        if self._closed is None:
            self._terminate()

    @property
    def _over(self) -> bool:
        return self._closed is not None or self._given_up or self._error is not None

    @property
    def _complete(self) -> bool:
        closed = self._closed
        totals = (self._captured["stdout"].total, self._captured["stderr"].total)
        return not self._lossy and closed is not None and (closed.stdout_bytes, closed.stderr_bytes) == totals

    def _collect(self, event: Event) -> None:
        match event:
            case Output(_, stream, data):
                self._captured["stderr" if stream == "stderr" else "stdout"].add(data)
            case Lost():
                self._lossy = True
            case Exited():
                self._exited = event
                self._ended_at = self._clock()
                self._drained_at = self._ended_at + self._drain
                self._timeout_at = None
            case Closed():
                self._closed = event

    def _server_timed_out(self, exited: Exited) -> bool:
        """Whether the server ended it. A page gives no reason: when the push was lost, the time must tell."""
        if exited.reason is not None or self._kept_timeout is None:
            return exited.reason in ("timeout", "idleTimeout")
        return self._ended_at - self._began >= self._kept_timeout

    def _check_input(self, written: Write) -> None:
        self._input = None
        try:
            written.take()
        except RpcError as error:
            # A child that ends without reading its input is no failure, as for subprocess.run.
            if error.kind not in ("stdinClosed", "unknownProcess"):
                self._error = error
        except ExecServerError as error:
            self._error = self._error or error

    def _terminate(self) -> None:
        with suppress(ExecServerError):  # without a connection there is no process either
            self._process.terminate()

    def _stirred(self) -> None:
        self.wake()

    def _detach(self) -> None:
        """Undo the cycle of references: what is not followed any more must not wait for a collection."""
        self._subscription.wake = nobody
        if self._input is not None:
            self._input.wake = nobody
            self._input.cancel()


def prepare_run(
    core: ClientCore,
    options: RunOptions,
    *,
    data: bytes | None,
    timeout: float | None,
    max_output: int | None,
    drain: float,
) -> StartOptions:
    """Give what to start with: the timeout only where the server can keep it, or else `Run` does.

    Whatever is wrong is found here: once the process runs, a mistake would leave it running.
    """
    if data is not None:
        check_bytes("input", data)
    if max_output is not None and type(max_output) is not int:
        raise TypeError(f"max_output is a number of bytes or None, not {max_output!r}")
    if max_output is not None and max_output < 0:
        raise ValueError(f"max_output is not negative: {max_output}")
    for name, seconds in (("timeout", timeout), ("drain", drain)):
        if seconds is not None and not seconds >= 0:
            raise ValueError(f"{name} is a number of seconds from 0 on, not {seconds}")
    prepared: StartOptions = {**options}  # type: ignore[typeddict-item]
    if data is not None:
        core.features.require("closeStdin")  # what reads its stdin to the end would never end
        prepared["stdin"] = "pipe"
    if keeps_timeout(core, timeout):
        prepared["timeout"] = timeout
    return prepared


def keeps_timeout(core: ClientCore, timeout: float | None) -> bool:
    """Whether the server keeps the timeout, which it does better."""
    return timeout is not None and "timeoutMs" in core.features
