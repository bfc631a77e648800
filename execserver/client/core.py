"""The client's side of a connection: ids, calls in flight, routing, the end. No I/O, no clock, no runtime.

An adapter gives what it read to `ClientCore.feed`, sends what `ClientCore.take_outgoing` returns, and waits for
`Source` objects. Rules:

1. Lines before the first message are a banner: skipped, up to ``preamble_limit`` bytes. After it, a line that is no
   message is garbage: it may have been an answer, so the connection is given up (`ProtocolError`). Not so for what
   stands at the end of the stream without its LF: a server that dies says no more than half of something.
2. An answer that nobody waits for, and a notification that nobody knows, are ignored. A request is answered -32601.
3. When the connection has ended every call, waiting or new, raises `Disconnected`, or `ClosedError` if
   this program closed it.
"""

from collections.abc import Callable
from typing import Any, TypeVar, overload
from weakref import WeakSet, WeakValueDictionary

from msgspec import UNSET

from execserver.client.calls import Call
from execserver.client.errors import ClosedError, Disconnected, ProtocolError
from execserver.client.features import Features
from execserver.client.following import Following
from execserver.client.inbound import Greeting, NotAMessage, Other, classify, is_message
from execserver.client.pause import Laggards
from execserver.client.preamble import PREAMBLE_BYTES, Preamble
from execserver.client.source import Parking
from execserver.lines import OVERSIZED, LineSplitter, Oversized
from execserver.wire.envelope import Call as Request
from execserver.wire.envelope import ErrorObject, Failure, Notification, encode_line
from execserver.wire.errors import INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR
from execserver.wire.session import InitializeResult

T = TypeVar("T")
C = TypeVar("C", bound=Call[Any])

LINE_BYTES = 128 << 20  # the longest line that is read: fs/readFile of the largest file that other servers send
BACKLOG_BYTES = 1 << 20  # when this much waits to be sent, new calls wait, and strange requests go unanswered


class ClientCore:
    """One connection; see the module's rules."""

    def __init__(self, preamble_limit: int = PREAMBLE_BYTES, *, lossless: bool = False) -> None:
        self._lines = LineSplitter(LINE_BYTES)
        self._preamble: Preamble | None = Preamble(preamble_limit)
        self._calls: dict[int, Call[Any]] = {}
        self._last_id = 0
        self._outgoing: list[bytes] = []
        self._outgoing_bytes = 0
        self._error: type[Disconnected] | type[ClosedError] = Disconnected
        self._processes: WeakValueDictionary[str, Following] = WeakValueDictionary()
        self.features = Features()
        self.long_polls = 0  # in flight, also those of followers that are gone
        self.pollers: WeakSet[object] = WeakSet()  # the followers whose long poll is in flight
        self.parking = Parking()
        self.laggards = Laggards(lossless=lossless)
        self.parking.on_park = self.laggards.parked
        self.disconnected: str | None = None
        self.info: InitializeResult | None = None
        self.send_soon: Callable[[], None] = lambda: None  # set by the adapter: there is something to send

    # What the adapter does

    def feed(self, data: bytes | bytearray, size: int | None = None) -> None:
        """Take what was read, see `LineSplitter.feed`. Never raises: what is wrong with it ends the connection."""
        if self.disconnected is not None:
            return
        size = len(data) if size is None else size
        for line in self._lines.feed(data, size):
            self._take_line(line)
            if self.disconnected is not None:
                return
        if self._preamble is not None and not self._preamble.bear(size):
            self._fail("the command sent no line of JSON" + self.said, ProtocolError)

    def end_of_file(self, reason: str) -> None:
        """Take the end of the server's stdout, or of its process."""
        try:
            for line in self._lines.finish():
                if self._preamble is not None or (isinstance(line, bytes) and is_message(line)):
                    self._take_line(line)
        finally:  # whatever that line does: without the end everybody would wait for ever
            self._fail(reason + self.said, Disconnected)

    def close(self) -> None:
        """End the connection by this program's own will."""
        self._fail("this program closed the connection", ClosedError)

    def take_outgoing(self) -> bytes:
        """Give all that is to be sent."""
        crowded = self.crowded
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        self._outgoing_bytes = 0
        if crowded:
            self.parking.wake_all()
        return data

    @property
    def said(self) -> str:
        """What came before the first message, for an error; empty after it."""
        return "" if self._preamble is None else self._preamble.describe(self._lines.unfinished)

    # Calls

    @property
    def crowded(self) -> bool:
        """Whether so much waits to be sent that a new call should wait for `Room`."""
        return self._outgoing_bytes >= BACKLOG_BYTES

    def disconnection(self, last_seq: int | None = None) -> Disconnected | ClosedError:
        """Make the error for what cannot be done any more."""
        assert self.disconnected is not None
        if self._error is ClosedError:
            return ClosedError(self.disconnected)
        return self._error(self.disconnected, last_seq)

    @overload
    def call(self, method: str, params: Any) -> Call[Any]: ...
    @overload
    def call(self, method: str, params: Any, result: Any, then: Callable[[Any], T]) -> Call[T]: ...
    def call(
        self, method: str, params: Any, result: Any = Any, then: Callable[[Any], Any] = lambda value: value
    ) -> Call[Any]:
        """Queue a request. ``result`` is the type of its result, ``then`` makes of it what the call gives."""
        return self.send(method, params, lambda request_id: Call(self, request_id, result, then))

    def send(self, method: str, params: Any, make: Callable[[int], C]) -> C:
        """Queue a request whose answer goes to the call that ``make`` makes."""
        if self.disconnected is not None:
            raise self.disconnection()
        request_id = self._last_id = self._last_id + 1
        line = encode_line(Request(request_id, method, params))
        call = self._calls[request_id] = make(request_id)
        call.size = len(line)
        self._queue(line)
        return call

    def notify(self, method: str, params: Any) -> None:
        """Queue a notification."""
        self._queue(encode_line(Notification(method, params)))

    def forget(self, request_id: int) -> None:
        """Ignore the answer to this request."""
        self._calls.pop(request_id, None)

    def initialize(self, client_name: str) -> Call[InitializeResult]:
        """Begin the session."""
        return self.call("initialize", {"clientName": client_name}, Greeting, self._initialized)

    def _initialized(self, greeting: Greeting) -> InitializeResult:
        info = self.info = greeting.as_ours()
        self.features = Features(info.capabilities)
        self.notify("initialized", {})
        return info

    def follow(self, process: "Following") -> None:
        """Route the events of this process to it, for as long as somebody else holds it."""
        self._processes[process.facts.process_id] = process

    def follows(self, process_id: str) -> bool:
        """Whether somebody holds a process of this name that has not closed."""
        process = self._processes.get(process_id)
        return process is not None and process.facts.closed is None

    @property
    def answers_awaited(self) -> bool:
        """Whether a call is in flight that somebody asked for."""
        return not all(call.background for call in self._calls.values())

    # Inside

    def _queue(self, line: bytes) -> None:
        self._outgoing.append(line)
        self._outgoing_bytes += len(line)
        self.send_soon()

    def _fail(self, reason: str, error: type[Disconnected] | type[ClosedError]) -> None:
        if self.disconnected is None:
            self.disconnected, self._error = reason, error
            self._calls.clear()
            self.parking.wake_all()

    def _take_line(self, line: bytes | Oversized) -> None:
        if line is OVERSIZED or isinstance(line, Oversized):
            return self._fail(f"the server sent a line of more than {LINE_BYTES} bytes", ProtocolError)
        if not line or line.isspace():
            return None
        try:
            message = classify(line)
        except NotAMessage as problem:
            if self._preamble is None:
                return self._fail(f"the server sent garbage ({problem}): {line[:200]!r}", ProtocolError)
            if not self._preamble.skip(line):
                self._fail("the command sent no JSON" + self.said, ProtocolError)
            return None
        self._preamble = None
        try:
            if isinstance(message, Other):
                self._take_other(message)
            elif (process := self._processes.get(message.params.process_id)) is not None:
                process.take(message)
        # base64, a result that is not what it must be, a number that no float holds
        except (ValueError, ArithmeticError) as problem:
            self._fail(f"the server sent nonsense ({problem}): {line[:200]!r}", ProtocolError)

    def _take_other(self, message: Other) -> None:
        if message.method is not UNSET:
            self._refuse(message)
        elif isinstance(message.id, int) and (call := self._calls.pop(message.id, None)) is not None:
            call.settle(message)
        elif message.id is None and message.error:
            self._blame_largest(message, message.error.code)
        # else: the answer to a call that was cancelled, or to nobody's

    def _blame_largest(self, answer: Other, code: int) -> None:
        """Find the call for an error without an id: what the server cannot take is a line that is too long.

        How long that is can be set, and is a server's own affair: where it says that it could not read a request, it is
        the largest. An innocent call that fails is better than one that waits for ever.
        """
        sizes = {number: call.size for number, call in self._calls.items() if not call.background}
        largest = max(sizes, key=sizes.__getitem__, default=0)
        if sizes and (code in (INVALID_REQUEST, PARSE_ERROR) or sizes[largest] > BACKLOG_BYTES):
            self._calls.pop(largest).settle(answer)

    def _refuse(self, request: Other) -> None:
        """Answer a request of the server's: clients of this protocol serve no method. Nobody reads: do not pile up."""
        if request.id is UNSET or self.crowded:
            return
        if isinstance(request.id, int | str) and not isinstance(request.id, bool):
            answer = Failure(request.id, ErrorObject(METHOD_NOT_FOUND, f"the client serves no method {request.method}"))
        else:
            answer = Failure(None, ErrorObject(INVALID_REQUEST, "the id must be an integer or a string"))
        self._queue(encode_line(answer))
