"""The tables of the protocol: every method and notification, with its params and result. No I/O.

Only what documents the protocol imports this: the generated reference, ``rpc.discover`` and the tests. The server
serves from tables of handlers, which a test holds equal to these.
"""

from typing import NamedTuple

from execserver.wire import files, http, process, session
from execserver.wire.base import Empty, Message


class Method(NamedTuple):
    """One request: its params, its result, what it does, and whether the reference server lacks it."""

    params: type[Message]
    result: type[Message]
    summary: str
    extension: bool = False


class Push(NamedTuple):
    """One notification of the server."""

    params: type[Message]
    summary: str


METHODS: dict[str, Method] = {
    "initialize": Method(session.InitializeParams, session.InitializeResult, "Begin the session."),
    "environment/info": Method(Empty, session.EnvironmentInfo, "Say where processes run."),
    "ping": Method(Empty, Empty, "Answer at once, however much is in flight.", extension=True),
    "shutdown": Method(Empty, Empty, "Answer, then end as at end of file.", extension=True),
    "rpc.discover": Method(Empty, Message, "Answer the OpenRPC document of this server.", extension=True),
    "process/start": Method(process.StartParams, process.StartResult, "Start a process and follow it."),
    "process/read": Method(process.ReadParams, process.ReadResult, "Read retained output; wait for more."),
    "process/write": Method(process.WriteParams, process.WriteResult, "Feed a process's stdin."),
    "process/signal": Method(process.SignalParams, process.SignalResult, "Signal the process group."),
    "process/terminate": Method(
        process.TerminateParams, process.TerminateResult, "End the process group: SIGTERM, grace, SIGKILL."
    ),
    "process/resize": Method(process.ResizeParams, Empty, "Resize the terminal.", extension=True),
    "process/list": Method(Empty, process.ListResult, "List running and retained processes.", extension=True),
    "process/release": Method(
        process.ReleaseParams, process.ReleaseResult, "Forget a closed process now.", extension=True
    ),
    "fs/readFile": Method(files.ReadFileParams, files.ReadFileResult, "Read a regular file whole."),
    "fs/writeFile": Method(files.WriteFileParams, Empty, "Replace a file's content; keep its mode."),
    "fs/createDirectory": Method(files.CreateDirectoryParams, Empty, "Create a directory."),
    "fs/getMetadata": Method(files.PathParams, files.Metadata, "Describe what a path names."),
    "fs/canonicalize": Method(files.PathParams, files.CanonicalizeResult, "Resolve every link of a path."),
    "fs/readDirectory": Method(files.PathParams, files.ReadDirectoryResult, "List a directory."),
    "fs/walk": Method(files.WalkParams, files.WalkResult, "List a tree, within limits."),
    "fs/remove": Method(files.RemoveParams, Empty, "Remove a file or a directory."),
    "fs/copy": Method(files.CopyParams, Empty, "Copy a file or a tree."),
    "fs/open": Method(files.OpenParams, files.OpenResult, "Open a file under a handle of the client's."),
    "fs/readBlock": Method(files.ReadBlockParams, files.ReadBlockResult, "Read a block of an open file."),
    "fs/writeBlock": Method(files.WriteBlockParams, Empty, "Write a block of an open file."),
    "fs/close": Method(files.CloseParams, Empty, "Close a handle; closing it again is no error."),
    "http/request": Method(http.RequestParams, http.RequestResult, "Make an HTTP request from here."),
}

NOTIFICATIONS: dict[str, Push] = {
    "process/output": Push(process.Output, "One chunk of one stream of a process."),
    "process/exited": Push(process.Exited, "The child has ended; its own output is all numbered before."),
    "process/closed": Push(process.Closed, "Every stream has ended; nothing follows."),
    "http/request/bodyDelta": Push(http.BodyDelta, "A piece of a streamed HTTP body."),
}
