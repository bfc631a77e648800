"""Error codes, error kinds, and the one exception that carries them. No I/O.

Codes are those of JSON-RPC 2.0 and of the reference server; ``kind`` is the stable word in ``data`` by which a
client tells causes apart without reading the message.
"""

from typing import Literal

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
SERVER_ERROR = -32000  # busy, or a bound was reached: the same request may succeed later
NOT_FOUND = -32004  # fs/* only: the Codex client takes this number, and no other, for "no such file"

Kind = Literal[
    # the envelope
    "parseError",
    "invalidRequest",
    "methodNotFound",
    "invalidParams",
    "internalError",
    "serverBusy",
    "notInitialized",
    "alreadyInitialized",
    "unknownSession",
    "sessionEnded",
    # process/*
    "unknownProcess",
    "processExists",
    "programNotFound",
    "cwdNotFound",
    "notADirectory",
    "permissionDenied",
    "execFormat",
    "argumentListTooLong",
    "invalidArgument",
    "resourceExhausted",
    "spawnFailed",
    "writeIdConflict",
    "stdinBacklog",
    "notATerminal",
    "sandboxUnavailable",
    "unsupportedPlatform",
    # fs/*
    "notFound",
    "alreadyExists",
    "isADirectory",
    "notARegularFile",
    "directoryNotEmpty",
    "tooLarge",
    "symlinkLoop",
    "nameTooLong",
    "noSpace",
    "readOnlyFileSystem",
    "unknownHandle",
    "ioError",
    # http/*
    "httpError",
    "httpTimeout",
    "tooManyRedirects",
    "missingExtra",
]


class Fault(Exception):
    """What a handler raises to answer with an error: the client's mistake, or a cause outside this server.

    ``errno`` is the kernel's number where the kernel said so; on the wire it is its symbolic name's number, as is.
    """

    def __init__(self, code: int, message: str, kind: Kind, *, errno: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.kind = kind
        self.errno = errno

    @property
    def data(self) -> dict[str, object]:
        """The ``data`` member of the error object."""
        if self.errno is None:
            return {"kind": self.kind}
        return {"kind": self.kind, "errno": self.errno}


def invalid_params(path: str, problem: str, kind: Kind = "invalidParams") -> Fault:
    """Make the -32602 for the member at ``path`` (``$.processId``)."""
    return Fault(INVALID_PARAMS, f"invalid params: {problem} - at `{path}`", kind)


def describe_problem(problem: str) -> str:
    """Complete msgspec's message with the path where it leaves it out: at the root, and for a missing member."""
    head, found, path = problem.partition(" - at `")
    path = path.rstrip("`") if found else "$"
    if "required field `" in head:
        path += "." + head.partition("required field `")[2].rstrip("`")
    return f"invalid params: {head} - at `{path}`"
