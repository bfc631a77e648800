"""What goes wrong, by whose fault. No I/O.

- `RpcError`, `StartError`: the server refused one request; the connection is well.
- `Disconnected`: the daemon went. `ProtocolError` is the case where it still runs, but sent nonsense.
- `ClosedError`: this program closed what it now uses.
- `Unsupported`: this server lacks what was asked for; nothing was sent.
- `ProcessFailed`: ``run(check=True)`` and the command did not succeed.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from execserver.client.results import Result


class ExecServerError(Exception):
    """What every error of the clients is. It can be pickled and copied: it may have to cross to another process."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own would call the class with what its message is made of, and not with what it was made of.
        return _restore, (type(self), self.args), self.__dict__


def _restore(kind: type[ExecServerError], args: tuple[Any, ...]) -> ExecServerError:
    return kind.__new__(kind, *args)


class RpcError(ExecServerError):
    """The server answered with an error.

    ``kind`` is the stable word by which causes are told apart (``wire.errors.Kind``); None from servers that send
    none. ``data`` is the answer's ``data`` member as it came.
    """

    def __init__(self, code: int, message: str, kind: str | None = None, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.kind = kind
        self.data = data

    @property
    def errno(self) -> int | None:
        """The kernel's error number, where the kernel said so and the server passed it on."""
        number = self.data.get("errno") if isinstance(self.data, dict) else None
        return number if isinstance(number, int) else None

    def __str__(self) -> str:
        return f"{self.message} ({self.kind or self.code})"


class StartError(RpcError):
    """The process was not started."""


class Disconnected(ExecServerError):
    """The connection ended without this program's doing.

    ``reason`` says all that is known: the daemon's exit status, the end of its stderr. ``last_seq`` is the last event
    that the subscription delivered; None where the error did not come from a subscription.
    """

    def __init__(self, reason: str, last_seq: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.last_seq = last_seq


class ProtocolError(Disconnected):
    """The server sent what no server of this protocol sends.

    It may have been an answer, so the connection was given up.
    """


class ClosedError(ExecServerError):
    """The connection was closed by this program, which now uses it."""


class Unsupported(ExecServerError):
    """The server lacks the method or the extension ``feature``. Nothing was sent."""

    def __init__(self, feature: str) -> None:
        super().__init__(f"this server does not support {feature}")
        self.feature = feature


class ProcessFailed(ExecServerError):
    """The command that ``run(check=True)`` ran timed out or did not exit with 0; ``result`` holds its output."""

    def __init__(self, result: "Result", argv: list[str]) -> None:
        if result.timed_out:
            how = "timed out"
        elif result.signal is not None:
            how = f"was killed by {result.signal}"
        else:
            how = f"exited with {result.exit_code}"
        super().__init__(f"{argv[0]} {how}")
        self.result = result
        self.argv = argv
