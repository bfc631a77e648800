"""jsonrpcserver under trio: the call of a handler, the mapping of errors, and our envelope around it. No I/O.

The library's ``async_dispatch`` calls ``asyncio.gather``, which under trio does not crash but *answers* -32000. Its
`call` is a plain coroutine with no checkpoint of its own, and is what we await. (What the library does before it, to
look the method up and to bind its arguments by ``inspect.signature``, takes as long as all the rest of an answer: the
first is a look-up of ours, and of the second there is nothing to do.) Params go through it as one positional value,
undecoded: msgspec does all the parsing, once, into the Struct of the method. (Those of a long ``process/write`` are
decoded already, see `bulk`.)

Importing this costs 70 ms (jsonschema and asyncio, which the library imports and we never use), so `server.rpc`
imports it behind the answer to ``initialize``. Each name from inside the library is held by a contract test.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from jsonrpcserver import JsonRpcError
from jsonrpcserver import Success as Returned
from jsonrpcserver.async_dispatcher import call
from jsonrpcserver.request import Request
from jsonrpcserver.result import Result, Right  # type: ignore[attr-defined]  # it is oslash's, and used there
from jsonrpcserver.sentinels import NOCONTEXT
from msgspec import Raw

from execserver.server.method import Method
from execserver.wire.base import Message
from execserver.wire.envelope import ErrorObject, Failure, Id, Success, encode_line
from execserver.wire.errors import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, Fault, Kind, describe_problem

logger = logging.getLogger(__name__)

Callee = Callable[[Any], Awaitable[Result]]


class Dispatcher:
    """Answers requests from a table of methods, which may load more of itself on a look-up (``__missing__``)."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        """``methods`` is asked once for each name that is called."""
        self._methods = methods
        self._callees: dict[str, Callee] = {}

    async def answer(self, request_id: Id, method: str, params: Raw | Message) -> bytes:
        """Handle one request; return its answer as a protocol line. Waits only if the handler does.

        ``params`` are undecoded, but for those that had to be decoded with their envelope (`bulk`).
        """
        request = Request(method, [params], request_id)
        callee: Any = self._callees.get(method) or self._load(method)  # as declared the library does not await it
        result = await call(request, NOCONTEXT, callee)
        try:
            return encode_line(_envelop(request_id, result))
        except (UnicodeEncodeError, RecursionError):  # a lone surrogate in a name of the system; deep metadata
            logger.exception("the answer of %s cannot be encoded", method)
            failure = ErrorObject(INTERNAL_ERROR, "internal error", {"kind": "internalError"})
            return encode_line(Failure(request_id, failure))

    def _load(self, name: str) -> Callee:
        """Adapt a method as jsonrpcserver wants it, at its first call."""
        try:
            method = self._methods[name]
        except KeyError:
            # Answered like any fault, with `kind`; not kept: names are the client's.
            return _refusing(METHOD_NOT_FOUND, f"method not found: {name}", "methodNotFound")
        except Exception:  # its import failed, for want of descriptors perhaps; not kept: it is tried again
            logger.exception("%s cannot be loaded", name)
            return _refusing(INTERNAL_ERROR, "internal error", "internalError")
        callee = self._callees[name] = _adapt(name, method)
        return callee


def _envelop(request_id: Id, result: Any) -> Success | Failure:
    """The answer with a `Result`. The library's `to_response` and `to_serializable_one` take 1.2 us for it, not 0.1."""
    if isinstance(result, Right):  # to ask for `Left` would take every success through ABCMeta
        return Success(request_id, result._value.result)
    return Failure(request_id, ErrorObject(*result._error))


def _adapt(name: str, method: Method) -> Callee:
    decode = msgspec.json.Decoder(method.params).decode
    handle = method.handle

    async def callee(params: Raw | Message) -> Result:
        try:
            return Returned(await handle(decode(params) if isinstance(params, Raw) else params))
        except Fault as fault:
            raise JsonRpcError(fault.code, fault.message, fault.data) from None
        except (msgspec.DecodeError, RecursionError) as error:
            raise JsonRpcError(INVALID_PARAMS, describe_problem(str(error)), {"kind": "invalidParams"}) from None
        except Exception:
            logger.exception("%s failed", name)
            raise JsonRpcError(INTERNAL_ERROR, "internal error", {"kind": "internalError"}) from None

    return callee


def _refusing(code: int, message: str, kind: Kind) -> Callee:
    async def callee(params: Raw) -> Result:
        raise JsonRpcError(code, message, {"kind": kind})

    return callee
