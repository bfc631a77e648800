"""``Server``, ``Process`` and ``Events`` as programs without an event loop see them. No I/O.

Word for word those of `execserver.client.facade`, without ``await``. All of it may be used from any thread: whatever
touches the core does so under the driver's lock, which waiting gives up.
"""

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, Unpack

from execserver.client.buffer import LIMIT_BYTES
from execserver.client.calls import Room
from execserver.client.core import ClientCore
from execserver.client.errors import ExecServerError, ProcessFailed
from execserver.client.events import Event, Exited
from execserver.client.process import ProcessCore, list_processes
from execserver.client.results import Page, Result
from execserver.client.run import Run, prepare_run
from execserver.client.source import Finished, Source
from execserver.client.starting import RunOptions, StartOptions, begin_start
from execserver.wire.process import ProcessInfo
from execserver.wire.session import InitializeResult

T = TypeVar("T")

ENDING_SECONDS = 10.0  # for a process whose block is left: the server's grace and drain are 2 s each


class Driver(Protocol):
    """What an adapter brings."""

    core: ClientCore

    @property
    def lock(self) -> AbstractContextManager[object]:
        """The lock that whoever touches the core holds."""
        ...

    def wait(self, source: Source[T], seconds: float | None = None) -> T:
        """Wait for ``source``, as its module says. `TimeoutError` after ``seconds``."""
        ...

    def clock(self) -> float:
        """Give the time in seconds."""
        ...


def _do(driver: Driver, begin: Callable[[], Source[T]], until: float | None = None) -> T:
    """Begin when the connection has room, and wait. `TimeoutError` when the clock shows ``until``."""

    def left() -> float | None:
        return None if until is None else until - driver.clock()

    with driver.lock:
        if driver.core.crowded:
            driver.wait(Room(driver.core), left())
        return driver.wait(begin(), left())


class Server:
    """A connection. Every call raises `Disconnected` once the connection has ended."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._core = driver.core

    @property
    def info(self) -> InitializeResult:
        """The answer to ``initialize``."""
        assert self._core.info is not None
        return self._core.info

    @property
    def disconnected(self) -> str | None:
        """Why the connection has ended; None while it lives."""
        return self._core.disconnected

    def start(self, argv: Sequence[str], **options: Unpack[StartOptions]) -> "Process":
        """Start a process; see `StartOptions`. Raises `StartError`; `Unsupported` before anything is sent."""
        return Process(self._driver, self._begin(argv, options))

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        timeout: float | None = None,
        check: bool = False,
        max_output: int | None = None,
        drain: float = 0.5,
        **options: Unpack[RunOptions],
    ) -> Result:
        """Run a command to its end, at most ``drain`` seconds past its exit.

        On a timeout the process is terminated, and the result holds what came until then. ``max_output`` bounds what is
        kept of each stream; without it the whole output is held. With ``check`` raises `ProcessFailed` unless the exit
        code is 0. When it is interrupted the process is terminated.
        """
        start_options = prepare_run(
            self._core, options, data=input, timeout=timeout, max_output=max_output, drain=drain
        )
        clock = self._driver.clock
        began = clock()
        process = self._begin(argv, start_options)
        with self._driver.lock:
            run = Run(process, clock, began=began, data=input, timeout=timeout, max_output=max_output, drain=drain)
        result = self._driver.wait(run)
        if check and (result.exit_code != 0 or result.timed_out):
            raise ProcessFailed(result, list(argv))
        return result

    def list(self) -> list[ProcessInfo]:
        """List every running and retained process, oldest first."""
        self._core.features.require("process/list")
        return _do(self._driver, lambda: list_processes(self._core))

    def ping(self) -> None:
        """Return when the server has answered."""
        self._core.features.require("ping")
        self.call("ping")

    def call(self, method: str, params: Any = None) -> Any:
        """Call any method, raw: params and result are plain JSON values."""
        return _do(self._driver, lambda: self._core.call(method, {} if params is None else params))

    def _begin(self, argv: Sequence[str], options: StartOptions) -> ProcessCore:
        return _do(self._driver, lambda: begin_start(self._core, argv, options))


class Process:
    """A process. As a context manager it is terminated at the end of the block, which waits for its end."""

    def __init__(self, driver: Driver, process: ProcessCore) -> None:
        self._driver = driver
        self._process = process

    def __repr__(self) -> str:
        return f"<Process {self.process_id} pid={self.pid}>"

    @property
    def process_id(self) -> str:
        """The name by which the server knows it."""
        return self._process.process_id

    @property
    def pid(self) -> int | None:
        """The child's process number on the server's machine; None if the server does not say."""
        return self._process.pid

    def events(self, after_seq: int = 0, *, buffer_bytes: int = LIMIT_BYTES) -> "Events":
        """Subscribe to every event behind ``after_seq``, from the first to `Closed`.

        What happened before comes from the server's log; what the server no longer has is one `Lost` in its place.
        Subscriptions are independent of each other. A slow one holds ``buffer_bytes`` (1 MiB) at
        most, and reads back what did not fit.
        Raises `Disconnected` after all that was received in order.
        """
        return Events(self._driver, self._process, after_seq, buffer_bytes)

    def write(self, data: bytes) -> None:
        """Write to stdin; return when the kernel has taken all of it.

        Raises `RpcError` when nobody will read it, with ``kind`` ``stdinClosed`` or ``unknownProcess``. A write that is
        interrupted may have been made in part. Writes of other threads may come between the pieces of a long one.
        """
        _do(self._driver, lambda: self._process.write(data))

    def close_stdin(self) -> None:
        """Close stdin behind everything written; a terminal gets its end-of-file character. Again is no error."""
        _do(self._driver, self._process.close_stdin)

    def signal(self, name: str) -> bool | None:
        """Signal the process group: ``interrupt``, or a name like ``SIGTERM`` or ``TERM``.

        Whether there was a group to signal; None if the server does not say.
        """
        return _do(self._driver, lambda: self._process.signal(name))

    def terminate(self, grace: float | None = None) -> bool | None:
        """Begin the end of the process group: SIGTERM, after ``grace`` seconds SIGKILL.

        Whether it still ran; None if the server does not say.
        """
        return _do(self._driver, lambda: self._process.terminate(grace))

    def resize(self, rows: int, cols: int) -> None:
        """Resize the terminal."""
        _do(self._driver, lambda: self._process.resize(rows, cols))

    def read(self, after_seq: int = 0, max_bytes: int | None = None, wait: float = 0.0) -> Page:
        """Read one page of retained output behind ``after_seq``; wait up to ``wait`` seconds if there is none yet."""
        return _do(self._driver, lambda: self._process.read(after_seq, max_bytes, wait))

    def wait(self) -> Exited:
        """Wait for the exit. Nobody needs to read the events."""
        return _do(self._driver, self._process.watch)

    def release(self) -> bool:
        """Let the server forget a closed process now; False, and nothing done, while it is not closed."""
        return _do(self._driver, self._process.release)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self._end()
        else:
            with contextlib.suppress(ExecServerError):  # the caller's error says more
                self._end()

    def _end(self) -> None:
        until = self._driver.clock() + ENDING_SECONDS
        with contextlib.suppress(TimeoutError):
            _do(self._driver, self._process.terminate, until)
            _do(self._driver, lambda: self._process.watch(closed=True), until)


class Events:
    """One subscription. Breaking out of the loop leaves nothing behind."""

    def __init__(self, driver: Driver, process: ProcessCore, after_seq: int, buffer_bytes: int) -> None:
        self._driver = driver
        self._process = process  # while it is held its events are routed
        with driver.lock:
            self._subscription = process.subscribe(after_seq, buffer_bytes)

    @property
    def last_seq(self) -> int:
        """The number of the last event given: a later subscription can go on behind it."""
        return self._subscription.last_seq

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        try:
            return self._driver.wait(self._subscription)
        except Finished:
            raise StopIteration from None
