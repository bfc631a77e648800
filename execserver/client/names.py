"""The names that every adapter offers, whatever its runtime. No I/O."""

from execserver.client.errors import (
    ClosedError,
    Disconnected,
    ExecServerError,
    ProcessFailed,
    ProtocolError,
    RpcError,
    StartError,
    Unsupported,
)
from execserver.client.events import Closed, Event, Exited, Lost, Output, Text, Usage, decode
from execserver.client.results import Page, Result
from execserver.wire.process import EnvPolicy, ProcessInfo

__all__ = [
    "Closed",
    "ClosedError",
    "Disconnected",
    "EnvPolicy",
    "Event",
    "ExecServerError",
    "Exited",
    "Lost",
    "Output",
    "Page",
    "ProcessFailed",
    "ProcessInfo",
    "ProtocolError",
    "Result",
    "RpcError",
    "StartError",
    "Text",
    "Unsupported",
    "Usage",
    "decode",
]
