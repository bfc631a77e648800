"""``Server``, ``Process`` and ``Events`` as asynchronous programs see them. No I/O.

`async` and `await` belong to no event loop, so trio and asyncio share these classes. An adapter brings a
`Driver`, which knows how to wait.
"""

import contextlib
from collections.abc import Callable, Coroutine, Sequence
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

    async def wait(self, source: Source[T]) -> T:
        """Wait for ``source``, as its module says."""
        ...

    def clock(self) -> float:
        """Give the time in seconds."""
        ...

    async def see_through(self, ending: Coroutine[Any, Any, None], seconds: float) -> None:
        """Run ``ending`` although the caller is cancelled, ``seconds`` at most."""


async def _do(driver: Driver, begin: Callable[[], Source[T]]) -> T:
    """Begin when the connection has room, and wait."""
    if driver.core.crowded:
        await driver.wait(Room(driver.core))
    return await driver.wait(begin())


class Server:
    """A connection. Every call can be cancelled, and raises `Disconnected` once the connection has ended."""

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

    async def start(self, argv: Sequence[str], **options: Unpack[StartOptions]) -> "Process":
        """Start a process; see `StartOptions`. Raises `StartError`; `Unsupported` before anything is sent."""
        return Process(self._driver, await self._begin(argv, options))

    async def run(
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
        code is 0. When it is cancelled the process is terminated.
        """
        start_options = prepare_run(
            self._core, options, data=input, timeout=timeout, max_output=max_output, drain=drain
        )
        clock = self._driver.clock
        began = clock()
        process = await self._begin(argv, start_options)
        run = Run(process, clock, began=began, data=input, timeout=timeout, max_output=max_output, drain=drain)
        result = await self._driver.wait(run)
        if check and (result.exit_code != 0 or result.timed_out):
            raise ProcessFailed(result, list(argv))
        return result

    async def list(self) -> list[ProcessInfo]:
        """List every running and retained process, oldest first."""
        self._core.features.require("process/list")
        return await _do(self._driver, lambda: list_processes(self._core))

    async def ping(self) -> None:
        """Return when the server has answered."""
        self._core.features.require("ping")
        await self.call("ping")

    async def call(self, method: str, params: Any = None) -> Any:
        """Call any method, raw: params and result are plain JSON values."""
        return await _do(self._driver, lambda: self._core.call(method, {} if params is None else params))

    async def _begin(self, argv: Sequence[str], options: StartOptions) -> ProcessCore:
        return await _do(self._driver, lambda: begin_start(self._core, argv, options))


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

    async def write(self, data: bytes) -> None:
        """Write to stdin; return when the kernel has taken all of it.

        Raises `RpcError` when nobody will read it, with ``kind`` ``stdinClosed`` or ``unknownProcess``. A write that is
        cancelled may have been made in part. Writes of other tasks may come between the pieces of a long one.
        """
        await _do(self._driver, lambda: self._process.write(data))

    async def close_stdin(self) -> None:
        """Close stdin behind everything written; a terminal gets its end-of-file character. Again is no error."""
        await _do(self._driver, self._process.close_stdin)

    async def signal(self, name: str) -> bool | None:
        """Signal the process group: ``interrupt``, or a name like ``SIGTERM`` or ``TERM``.

        Whether there was a group to signal; None if the server does not say.
        """
        return await _do(self._driver, lambda: self._process.signal(name))

    async def terminate(self, grace: float | None = None) -> bool | None:
        """Begin the end of the process group: SIGTERM, after ``grace`` seconds SIGKILL.

        Whether it still ran; None if the server does not say.
        """
        return await _do(self._driver, lambda: self._process.terminate(grace))

    async def resize(self, rows: int, cols: int) -> None:
        """Resize the terminal."""
        await _do(self._driver, lambda: self._process.resize(rows, cols))

    async def read(self, after_seq: int = 0, max_bytes: int | None = None, wait: float = 0.0) -> Page:
        """Read one page of retained output behind ``after_seq``; wait up to ``wait`` seconds if there is none yet."""
        return await _do(self._driver, lambda: self._process.read(after_seq, max_bytes, wait))

    async def wait(self) -> Exited:
        """Wait for the exit. Nobody needs to read the events."""
        return await _do(self._driver, self._process.watch)

    async def release(self) -> bool:
        """Let the server forget a closed process now; False, and nothing done, while it is not closed."""
        return await _do(self._driver, self._process.release)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            await self._driver.see_through(self._end(), ENDING_SECONDS)
        else:
            with contextlib.suppress(ExecServerError):  # the caller's error says more
                await self._driver.see_through(self._end(), ENDING_SECONDS)

    async def _end(self) -> None:
        await self.terminate()
        await self._driver.wait(self._process.watch(closed=True))


class Events:
    """One subscription. A class and not a generator: breaking out of the loop leaves nothing for a loop to finalize."""

    def __init__(self, driver: Driver, process: ProcessCore, after_seq: int, buffer_bytes: int) -> None:
        self._driver = driver
        self._process = process  # while it is held its events are routed
        self._subscription = process.subscribe(after_seq, buffer_bytes)

    @property
    def last_seq(self) -> int:
        """The number of the last event given: a later subscription can go on behind it."""
        return self._subscription.last_seq

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        try:
            return await self._driver.wait(self._subscription)
        except Finished:
            raise StopAsyncIteration from None
