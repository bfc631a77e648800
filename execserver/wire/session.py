"""The handshake and the methods about the server itself. No I/O."""

from execserver.wire.base import Message

PROTOCOL_VERSION = "1"  # counts breaking changes of our extensions; the reference server names none


class InitializeParams(Message, frozen=True):
    """``client_name`` is for the log. No session is ever resumable."""

    client_name: str
    resume_session_id: str | None = None


class Shell(Message, frozen=True):
    """The user's login shell; ``path`` is a native path."""

    name: str
    path: str


class NoCapabilities(Message, frozen=True):
    """``environmentInfo.capabilities``: none of those that the Codex client knows is implemented."""


class EnvironmentInfo(Message, frozen=True):
    """Where processes run. All paths but the shell's are ``file:`` URIs."""

    shell: Shell
    executor_version: str | None = None
    cwd: str | None = None
    user_home_dir: str | None = None
    platform_os: str | None = None
    temp_dir: str | None = None
    capabilities: NoCapabilities = NoCapabilities()


class ServerInfo(Message, frozen=True):
    """Who serves."""

    name: str
    version: str


class Capabilities(Message, frozen=True):
    """What this server has: every method it serves, and every extension of their params, by name."""

    methods: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()


class InitializeResult(Message, frozen=True):
    """The answer to ``initialize``. The members from ``server_info`` on are extensions."""

    session_id: str
    environment_info: EnvironmentInfo | None = None
    server_info: ServerInfo | None = None
    protocol_version: str | None = None
    capabilities: Capabilities | None = None
