"""One line in, at most one answer out. No I/O.

What a line may be is judged in `wire.envelope`; what is a valid request is admitted here, in this order:

1. an unknown method is -32601, also before the handshake;
2. ``initialize`` comes first, then ``initialized``, then the rest;
3. with too many requests in flight the surplus one is refused at once, but for those of `NEVER_BUSY`.

``initialize`` alone is answered without the dispatcher, whose import would double the time to its answer.
"""

import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw

from execserver.lines import Oversized
from execserver.server import bulk
from execserver.server.eager import StandingBy, Waiting, begin, finish
from execserver.server.method import Method
from execserver.wire.base import Message
from execserver.wire.envelope import (
    ErrorObject,
    Failure,
    Id,
    Malformed,
    StrayResponse,
    Success,
    decode_request,
    encode_line,
)
from execserver.wire.errors import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    SERVER_ERROR,
    Fault,
    describe_problem,
)
from execserver.wire.session import InitializeParams, InitializeResult

if TYPE_CHECKING:
    from execserver.server.dispatch import Dispatcher

logger = logging.getLogger(__name__)

NO_PARAMS = Raw(b"{}")
_NULL = Raw(b"null")
# What ends or watches processes must work most of all when a client has filled the server with requests.
NEVER_BUSY = frozenset({"process/terminate", "process/signal", "ping"})


class Unfinished(NamedTuple):
    """A request whose handler waits: `Rpc.finish` awaits its answer, or `Rpc.resume` gives it when it stood by."""

    request_id: Id
    coroutine: Coroutine[Any, Any, bytes]
    waits: Waiting | StandingBy


class Rpc:
    """The handshake, the admission of requests, and their answers."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        initialize: Callable[[InitializeParams], InitializeResult],
        *,
        max_in_flight: int,
    ) -> None:
        """``methods`` may import on look-up, never on ``in``; ``initialize`` raises `Fault` to refuse."""
        self._methods = methods
        self._initialize = initialize
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self._answered_initialize = False
        self._received_initialized = False
        self._dispatcher: Dispatcher | None = None

    def begin(self, line: bytes | Oversized) -> bytes | Unfinished | None:
        """Judge one line and begin its request. Never yields: requests begin in the order of lines.

        Return the answer as a protocol line, or an `Unfinished` to `finish` in a task or to `resume`, or None for what
        is never answered: notifications, stray responses, blank lines.
        """
        if not line or isinstance(line, Oversized):
            return _failure(None, Fault(INVALID_REQUEST, "the line is too long", "invalidRequest")) if line else None
        if (write := bulk.decode_long_write(line)) is not None:
            return self._answer(write[0], bulk.METHOD, write[1])
        try:
            incoming = decode_request(line)
        except Malformed as malformed:
            if not line.strip(b" \t\r"):  # the blanks of JSON: of no others is a line blank
                return None
            return _failure(malformed.id, malformed.fault)
        except StrayResponse as stray:
            logger.warning("ignored %s", stray)
            return None
        if incoming.id is UNSET:
            self._notice(incoming.method)
            return None
        assert not isinstance(incoming.id, float)  # decode_request refuses it
        params = NO_PARAMS if incoming.params is UNSET or incoming.params == _NULL else incoming.params
        return self._answer(incoming.id, incoming.method, params)

    async def finish(self, unfinished: Unfinished) -> bytes:
        """Await the answer of a request that `begin` left waiting. It is in flight until then."""
        try:
            return await finish(unfinished.coroutine)
        finally:
            self._in_flight -= 1

    def resume(self, unfinished: Unfinished) -> bytes:
        """Give the answer of a request that stood by and may go on. Never yields."""
        self._in_flight -= 1
        answer = begin(unfinished.coroutine)
        if not isinstance(answer, bytes):
            raise RuntimeError(f"{unfinished.coroutine!r} waits again, behind stand_by()")
        return answer

    def give_up(self, unfinished: Unfinished) -> bytes:
        """The answer to a request that the end of the session has cancelled."""
        return _failure(unfinished.request_id, Fault(SERVER_ERROR, "the session has ended", "sessionEnded"))

    def prepare(self) -> None:
        """Import what dispatching needs, once ``initialize`` is answered. 70 ms the first time, then nothing."""
        if self._answered_initialize and self._dispatcher is None:
            from execserver.server.dispatch import Dispatcher  # see the module's docstring

            self._dispatcher = Dispatcher(self._methods)

    def _answer(self, request_id: Id, method: str, params: Raw | Message) -> bytes | Unfinished:
        try:
            self._admit(method)
            if method == "initialize":
                assert isinstance(params, Raw)
                return self._begin_session(request_id, params)
        except Fault as fault:
            return _failure(request_id, fault)
        return self._dispatch(request_id, method, params)

    def _dispatch(self, request_id: Id, method: str, params: Raw | Message) -> bytes | Unfinished:
        if self._dispatcher is None:
            self.prepare()
        assert self._dispatcher is not None
        coroutine = self._dispatcher.answer(request_id, method, params)
        answer = begin(coroutine)
        if isinstance(answer, bytes):
            return answer
        self._in_flight += 1
        return Unfinished(request_id, coroutine, answer)

    def _admit(self, method: str) -> None:
        if method == "initialize":
            return
        if method not in self._methods:
            raise Fault(METHOD_NOT_FOUND, f"method not found: {method}", "methodNotFound")
        if not self._received_initialized:
            area = "filesystem" if method.startswith("fs/") else "exec"
            step = "send initialized" if self._answered_initialize else "call initialize"
            raise Fault(INVALID_REQUEST, f"client must {step} before using {area} methods", "notInitialized")
        if self._in_flight >= self._max_in_flight and method not in NEVER_BUSY:
            raise Fault(SERVER_ERROR, f"server busy: {self._in_flight} requests are in flight", "serverBusy")

    def _begin_session(self, request_id: Id, params: Raw) -> bytes:
        if self._answered_initialize:
            raise Fault(INVALID_REQUEST, "initialize may only be sent once per connection", "alreadyInitialized")
        try:
            result = self._initialize(msgspec.json.decode(params, type=InitializeParams))
        except (msgspec.DecodeError, RecursionError) as error:
            raise Fault(INVALID_PARAMS, describe_problem(str(error)), "invalidParams") from None
        self._answered_initialize = True
        return encode_line(Success(request_id, result))

    def _notice(self, method: str) -> None:
        if method == "initialized" and self._answered_initialize:
            self._received_initialized = True
        else:
            logger.warning("ignored the notification %r", method)


def _failure(request_id: Id | None, fault: Fault) -> bytes:
    return encode_line(Failure(request_id, ErrorObject(fault.code, fault.message, fault.data)))
