"""What ``start()`` sends, to this server. No I/O."""

import os
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict
from urllib.parse import quote, unquote, urlsplit

from execserver.client.calls import Call
from execserver.client.errors import StartError
from execserver.client.following import Following
from execserver.client.inbound import Other
from execserver.client.process import ProcessCore, milliseconds
from execserver.wire.errors import INVALID_REQUEST
from execserver.wire.process import EnvPolicy, StartResult

if TYPE_CHECKING:
    from execserver.client.core import ClientCore


class RunOptions(TypedDict, total=False):
    """What ``start()`` and ``run()`` both take beside ``argv``. Times in seconds."""

    process_id: str | None
    """Unique among running and retained processes; None: a random one."""
    cwd: str | os.PathLike[str] | None
    """An absolute path, one relative to the server's directory, or a ``file:`` URI; None: the server's directory."""
    env: Mapping[str, str] | None
    """The exact environment, on top of ``env_policy`` if that is given; None and no policy: the server's own."""
    env_policy: EnvPolicy | Mapping[str, Any] | None
    """How the environment is made from the server's; a mapping is sent as it stands."""
    stdin: Literal["pipe"] | None
    """``"pipe"`` for `write`; None: /dev/null. With a terminal `write` always works."""
    tty: bool | tuple[int, int] | None
    """A pseudo-terminal, of ``(rows, cols)`` or 24 x 80."""
    merge_stderr: bool
    """stderr goes where stdout goes: the one way to get the true order of the two."""
    arg0: str | None
    """``argv[0]`` as the child sees it; the program run is still ``argv[0]``."""
    idle_timeout: float | None
    """After that long without output the process group is terminated."""
    metadata: Mapping[str, Any] | None
    """Shown by ``list()``."""


class StartOptions(RunOptions, total=False):
    """What ``start()`` takes beside ``argv``."""

    timeout: float | None
    """After it the process group is terminated."""
    drain: float | None
    """How long after the exit the streams may still be open, before `Closed` comes anyway; None: for ever."""


class Start(Call[ProcessCore]):
    """A ``process/start`` in flight. Nobody waiting any more means nobody to end the process: it is terminated."""

    _abandoned = False

    def cancel(self) -> None:
        """Terminate the process if it starts."""
        self._abandoned = True
        self._terminate()

    def settle(self, answer: Other) -> None:
        """Take the answer."""
        super().settle(answer)
        self._terminate()

    def _terminate(self) -> None:
        if self._abandoned and self._answered and self._error is None and self._core.disconnected is None:
            self._value.terminate()


def begin_start(core: "ClientCore", argv: Sequence[str], options: StartOptions) -> Call[ProcessCore]:
    """Queue ``process/start``. Raises `Unsupported` before anything is sent."""
    process_id = options.get("process_id") or uuid.uuid4().hex
    params = start_params(core, process_id, argv, options)
    if core.follows(process_id):  # events of two would be taken for each other's
        raise StartError(INVALID_REQUEST, f"process {process_id} already exists", "processExists")
    following = Following(core, process_id)

    def started(result: StartResult) -> ProcessCore:
        following.facts.pid = result.pid
        return ProcessCore(core, following)

    return core.send("process/start", params, lambda number: Start(core, number, StartResult, started, StartError))


def start_params(core: "ClientCore", process_id: str, argv: Sequence[str], options: StartOptions) -> dict[str, Any]:
    """Make the params, with what this server must have and nothing that it does not know."""
    if isinstance(argv, str | bytes):
        raise TypeError("argv is a sequence of arguments, not a command line; there is no shell")
    if unknown := options.keys() - StartOptions.__optional_keys__:
        known = ", ".join(sorted(StartOptions.__optional_keys__))
        raise TypeError(f"there is no option {', '.join(sorted(unknown))}; there are {known}")
    tty = options.get("tty") or False
    params: dict[str, Any] = {
        "processId": process_id,
        "argv": list(argv),
        "tty": tty is not False,
        "pipeStdin": options.get("stdin") == "pipe",
    }
    if (stdin := options.get("stdin")) not in (None, "pipe"):
        raise ValueError(f'stdin is None or "pipe", not {stdin!r}')
    params |= _environment(core, options) | _directory(core, options.get("cwd"))
    if not isinstance(tty, bool):
        core.features.require("size")
        params["size"] = {"rows": tty[0], "cols": tty[1]}
    if options.get("merge_stderr"):
        core.features.require("mergeStderr")
        params["mergeStderr"] = True
    for name, seconds, member in (
        ("timeout", options.get("timeout"), "timeoutMs"),
        ("idle_timeout", options.get("idle_timeout"), "idleTimeoutMs"),
        ("drain", options.get("drain"), "drainMs"),
    ):
        if seconds is not None:
            core.features.require(member)
            params[member] = milliseconds(name, seconds)
    if (arg0 := options.get("arg0")) is not None:
        params["arg0"] = arg0
    if (metadata := options.get("metadata")) is not None:
        params["metadata"] = dict(metadata)
    return params


def _environment(core: "ClientCore", options: StartOptions) -> dict[str, Any]:
    env, policy = options.get("env"), options.get("env_policy")
    if env is None and policy is None:
        if core.features.listed:
            return {}  # the server's own
        # The reference server must have `env`, which without a policy is all that the child gets.
        return {"env": {}, "envPolicy": EnvPolicy(ignore_default_excludes=True)}
    members: dict[str, Any] = {"env": dict(env or {})}
    if policy is not None:
        members["envPolicy"] = policy if isinstance(policy, EnvPolicy) else dict(policy)
    return members


def _directory(core: "ClientCore", cwd: str | os.PathLike[str] | None) -> dict[str, Any]:
    """Name the directory as a URI: the reference server takes nothing else, and cannot do without.

    Its ``..`` stay: behind a link they lead elsewhere than the name says, and only the server's machine knows.
    """
    environment = core.info.environment_info if core.info is not None else None
    default = environment.cwd if environment is not None else None
    if cwd is None:
        # A server of ours starts where it stands, though the directory has another name by now, or none.
        return {} if default is None or core.features.listed else {"cwd": default}
    path = os.fspath(cwd)
    if path.startswith("file:"):
        return {"cwd": path}
    if not path.startswith("/"):
        if default is None:
            raise ValueError(f"cwd is relative to the server's directory, which it does not say: {path!r}")
        path = os.path.join(unquote(urlsplit(default).path), path)
    return {"cwd": "file://" + quote(os.fsencode(path))}
