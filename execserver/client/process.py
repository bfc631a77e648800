"""The requests about one process, each as something to wait for. No I/O."""

import math
from typing import TYPE_CHECKING, Any

from execserver.client.buffer import LIMIT_BYTES
from execserver.client.calls import Call
from execserver.client.errors import RpcError
from execserver.client.following import Following
from execserver.client.inbound import Terminated, TextPage
from execserver.client.results import Page, to_page
from execserver.client.source import Source
from execserver.client.subscription import Subscription
from execserver.client.watch import Watch
from execserver.wire import process as wire
from execserver.wire.base import Empty
from execserver.wire.base64 import encode_text
from execserver.wire.errors import INVALID_REQUEST

if TYPE_CHECKING:
    from execserver.client.core import ClientCore

WRITE_BYTES = 256 << 10  # of one process/write: no call fills the connection for long
PAGE_BYTES = 1 << 20


def milliseconds(name: str, seconds: float) -> int:
    """Round up: no deadline comes early, and only 0 is 0. `ValueError` for what is no time."""
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{name} is a number of seconds from 0 on, not {seconds}")
    return math.ceil(seconds * 1000)


def check_bytes(name: str, data: object) -> None:
    """Raise `TypeError` for what is no bytes. ``bytes()`` makes zeros of a number, and nobody guesses an encoding."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"{name} is bytes, not {type(data).__name__}: {data!r:.100}")


class ProcessCore:
    """One process of this connection."""

    def __init__(self, core: "ClientCore", following: Following) -> None:
        self.core = core
        self._following = following
        self._writes = 0
        self.process_id = following.facts.process_id

    @property
    def pid(self) -> int | None:
        """The child's process number on its machine."""
        return self._following.facts.pid

    def subscribe(self, after_seq: int = 0, limit: int = LIMIT_BYTES) -> Subscription:
        """Begin a subscription."""
        return self._following.subscribe(after_seq, limit)

    def watch(self, *, closed: bool = False) -> Watch:
        """Wait for the exit, or for the close."""
        return self._following.watch(closed=closed)

    def write(self, data: bytes | bytearray | memoryview, *, close: bool = False) -> "Write":
        """Write to stdin; ``close`` closes it behind the data."""
        if close:
            self.core.features.require("closeStdin")
        return Write(self, data, close=close)

    def close_stdin(self) -> "Write":
        """Close stdin. That it is closed already is no error."""
        self.core.features.require("closeStdin")
        return Write(self, b"", close=True, closed_is_fine=True)

    def send_chunk(self, chunk: bytes | memoryview, *, close: bool) -> Call[wire.WriteResult]:
        """Queue one ``process/write``."""
        self._writes += 1
        params: dict[str, Any] = self._params(chunk=encode_text(chunk), writeId=str(self._writes))
        if close:
            params["closeStdin"] = True
        return self.core.call("process/write", params, wire.WriteResult, lambda result: result)

    def signal(self, name: str) -> Call[bool | None]:
        """Signal the process group. Whether there was one; None from a server that does not say."""
        if name != "interrupt":
            self.core.features.require("signalNames")
        return self.core.call(
            "process/signal", self._params(signal=name), wire.SignalResult, lambda result: result.delivered
        )

    def terminate(self, grace: float | None = None) -> Call[bool | None]:
        """End the process group. Whether the leader still ran; None from a server that does not say."""
        params = self._params()
        if grace is not None:
            self.core.features.require("graceMs")
            params["graceMs"] = milliseconds("grace", grace)
        return self.core.call("process/terminate", params, Terminated | None, lambda result: result and result.running)

    def resize(self, rows: int, cols: int) -> Call[None]:
        """Resize the terminal."""
        self.core.features.require("process/resize")
        params = self._params(size={"rows": rows, "cols": cols})
        return self.core.call("process/resize", params, Empty, lambda _: None)

    def read(self, after_seq: int = 0, max_bytes: int | None = None, wait: float = 0.0) -> Call[Page]:
        """Read retained output."""
        params = self._params(afterSeq=after_seq)
        if max_bytes is not None:
            params["maxBytes"] = max_bytes
        if wait:
            params["waitMs"] = milliseconds("wait", wait)
        return self.core.call("process/read", params, TextPage, to_page)

    def release(self) -> Call[bool]:
        """Forget the process."""
        self.core.features.require("process/release")
        return self.core.call("process/release", self._params(), wire.ReleaseResult, lambda result: result.released)

    def _params(self, **members: Any) -> dict[str, Any]:
        return {"processId": self.process_id, **members}


def list_processes(core: "ClientCore") -> Call[list[wire.ProcessInfo]]:
    """List every running and retained process."""
    core.features.require("process/list")
    return core.call("process/list", {}, wire.ListResult, lambda result: result.processes)


class Write(Source[None]):
    """A write of any length, a chunk at a time: the next one goes out when the kernel has taken the one before.

    It goes on by itself, also when nobody waits for it.
    """

    def __init__(
        self, process: ProcessCore, data: bytes | bytearray | memoryview, *, close: bool, closed_is_fine: bool = False
    ) -> None:
        check_bytes("what is written", data)
        self._process = process
        self._fine = ("accepted", "stdinClosed") if closed_is_fine else ("accepted",)
        self._rest = memoryview(bytes(data))
        self._close = close
        self._call: Call[wire.WriteResult] | None = None
        self._status = "accepted"
        self._error: RpcError | None = None
        self._next()

    def advance(self) -> bool:
        """Whether all of it has been taken, or the rest will not be."""
        return self._call is None or self._process.core.disconnected is not None

    def take(self) -> None:
        """Raise `RpcError` if stdin was closed; ``kind`` is the status that the server gave."""
        if self._call is not None:
            raise self._process.core.disconnection()
        if self._error is not None:
            raise self._error
        if self._status not in self._fine:
            problem = f"nothing more can be written to process {self._process.process_id}: {self._status}"
            raise RpcError(INVALID_REQUEST, problem, self._status)

    def cancel(self) -> None:
        """Send no more."""
        self._rest = self._rest[:0]
        self._close = False

    def _next(self) -> None:
        chunk, self._rest = self._rest[:WRITE_BYTES], self._rest[WRITE_BYTES:]
        self._call = self._process.send_chunk(chunk, close=self._close and not self._rest)
        self._call.wake = self._answered

    def _answered(self) -> None:
        assert self._call is not None
        try:
            self._status = self._call.take().status
        except RpcError as error:
            self._error = error
        if self._error is None and self._status == "accepted" and self._rest:
            self._next()
        else:
            self._call = None
            self.wake()
