"""``process/*``: params, results and numbered notifications. No I/O.

Where a member is an extension its default is what a server without it means, so the same Structs decode the
answers of other servers.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from execserver.wire.base import Count, Message, Milliseconds

Stream = Literal["stdout", "stderr", "pty"]
ExitReason = Literal["exit", "signal", "timeout", "idleTimeout", "terminated", "shutdown"]
CloseReason = Literal["endOfFile", "drainTimeout"]
WriteId = Annotated[str, Meta(min_length=1)]
WriteStatus = Literal["accepted", "unknownProcess", "stdinClosed", "starting"]
ProcessState = Literal["starting", "running", "exited", "closed"]


class Size(Message, frozen=True):
    """A terminal's size in character cells."""

    rows: Annotated[int, Meta(ge=1, le=65535)]
    cols: Annotated[int, Meta(ge=1, le=65535)]


class EnvPolicy(Message, frozen=True):
    """How the child's environment is made from the server's, before ``env`` is laid on top."""

    inherit: Literal["all", "core", "none"] = "all"
    ignore_default_excludes: bool = False
    exclude: tuple[str, ...] = ()
    set: dict[str, str] = field(default_factory=dict)
    include_only: tuple[str, ...] = ()


class StartParams(Message, frozen=True):
    """What to run and how. ``argv`` is run as it stands: there is no shell."""

    process_id: str
    argv: list[str]
    cwd: str | None = None
    env: dict[str, str] | None = None
    env_policy: EnvPolicy | None = None
    tty: bool = False
    size: Size | None = None
    pipe_stdin: bool = False
    merge_stderr: bool = False
    arg0: str | None = None
    timeout_ms: Milliseconds | None = None
    idle_timeout_ms: Milliseconds | None = None
    drain_ms: Milliseconds | None = None
    metadata: dict[str, Any] | None = None
    # Whatever asks for confinement is judged by its value, not by its type: see server.confinement.
    sandbox: Any = None
    enforce_managed_network: Any = False
    managed_network: Any = None
    network_proxy: Any = None


class StartResult(Message, frozen=True):
    """The process runs."""

    process_id: str
    pid: int | None = None
    sandbox_type: str = "none"


class Output(Message, frozen=True):
    """``process/output``: one chunk of one stream, as it was read."""

    process_id: str
    seq: int
    stream: Stream
    chunk: bytes


class Usage(Message, frozen=True):
    """CPU time of the child and of the descendants it has waited for, in milliseconds (wait4(2))."""

    user_ms: int
    system_ms: int


class Exited(Message, frozen=True):
    """``process/exited``: the child has ended. All that it wrote itself has a lower ``seq``."""

    process_id: str
    seq: int
    exit_code: int
    sandbox_denied: bool = False
    signal: str | None = None
    core_dumped: bool | None = None
    reason: str | None = None
    duration_ms: int | None = None
    usage: Usage | None = None


class Closed(Message, frozen=True):
    """``process/closed``: nothing follows. The bytes of a terminal count as stdout."""

    process_id: str
    seq: int
    stdout_bytes: int | None = None
    stderr_bytes: int | None = None
    reason: str | None = None


class ReadParams(Message, frozen=True):
    """``after_seq`` is exclusive; ``max_bytes`` counts decoded bytes of chunks."""

    process_id: str
    after_seq: Count | None = None
    max_bytes: Count | None = None
    wait_ms: Milliseconds | None = None


class Chunk(Message, frozen=True):
    """One retained chunk of output."""

    seq: int
    stream: Stream
    chunk: bytes


class ReadResult(Message, frozen=True):
    """A page of the retained output, and the state of the process at the time of the answer."""

    chunks: list[Chunk]
    next_seq: int
    exited: bool
    exit_code: int | None
    closed: bool
    failure: str | None = None
    sandbox_denied: bool = False
    oldest_seq: int | None = None
    exit_seq: int | None = None
    closed_seq: int | None = None
    dropped_bytes: int | None = None


class WriteParams(Message, frozen=True):
    """``close_stdin`` closes behind the chunk, and behind all that is queued."""

    process_id: str
    chunk: bytes
    write_id: WriteId | None = None
    close_stdin: bool = False


class WriteResult(Message, frozen=True):
    """``accepted`` means that the kernel took all of the chunk."""

    status: WriteStatus


class SignalParams(Message, frozen=True):
    """``signal`` is ``interrupt`` or a signal's name, with or without ``SIG``."""

    process_id: str
    signal: str


class SignalResult(Message, frozen=True):
    """Whether there was a process group to deliver it to."""

    delivered: bool | None = None


class TerminateParams(Message, frozen=True):
    """``grace_ms`` is the time between SIGTERM and SIGKILL; 0 kills at once."""

    process_id: str
    grace_ms: Milliseconds | None = None


class TerminateResult(Message, frozen=True):
    """Whether the leader of the group still ran."""

    running: bool


class ResizeParams(Message, frozen=True):
    """The new size of a process's terminal."""

    process_id: str
    size: Size


class ReleaseParams(Message, frozen=True):
    """The closed process to forget."""

    process_id: str


class ReleaseResult(Message, frozen=True):
    """Whether it was closed, and so is forgotten now."""

    released: bool


class ProcessInfo(Message, frozen=True):
    """One line of ``process/list``."""

    process_id: str
    pid: int | None
    argv: list[str]
    cwd: str
    tty: bool
    state: ProcessState
    started_at_ms: int
    exit_code: int | None
    signal: str | None
    next_seq: int
    retained_bytes: int
    metadata: dict[str, Any] | None


class ListResult(Message, frozen=True):
    """Every running and retained process, oldest first."""

    processes: list[ProcessInfo]
