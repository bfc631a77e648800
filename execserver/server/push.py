"""The lines of what a process tells. That of its output is where nearly all of the server's time goes. No I/O.

Where there is a faster base64 than that of msgspec, whose encoder knows no other, it is put together by hand. A test
holds what is made here equal to what `wire.process.Output` says.
"""

from typing import Final

import msgspec

from execserver.server.child import Ended
from execserver.server.openssl import encode_between
from execserver.wire.base64 import encode_fast
from execserver.wire.envelope import Notification, encode_line
from execserver.wire.process import Closed, CloseReason, Exited, ExitReason, Output, Stream, Usage

_LONG_BYTES: Final = 8 * 1024  # of a chunk: below it msgspec is as fast as OpenSSL
_START = b'%b%d,"stream":"%b","chunk":"'
_END = b'"}}\n'
_LINE = _START + b"%b" + _END


class Pusher:
    """Makes the notifications of one process."""

    __slots__ = ("_head", "_process_id")

    def __init__(self, process_id: str) -> None:
        self._process_id = process_id
        name = msgspec.json.encode(process_id)
        self._head = b'{"jsonrpc":"2.0","method":"process/output","params":{"processId":' + name + b',"seq":'

    def output(self, seq: int, stream: Stream, data: bytes) -> bytes | bytearray:
        """The line for one chunk."""
        if encode_fast is not None:
            return _LINE % (self._head, seq, stream.encode(), encode_fast(data))
        if len(data) >= _LONG_BYTES:
            start = _START % (self._head, seq, stream.encode())
            if (line := encode_between(start, data, _END)) is not None:
                return line
        return encode_line(Notification("process/output", Output(self._process_id, seq, stream, data)))

    def exited(self, seq: int, ended: Ended, stop_reason: ExitReason | None, seconds: float) -> bytes:
        """The line for the exit, after so many seconds; ``stop_reason`` is None where nobody stopped the process."""
        event = Exited(
            process_id=self._process_id,
            seq=seq,
            exit_code=ended.exit_code,
            signal=ended.signal,
            core_dumped=ended.core_dumped,
            reason=stop_reason or ("exit" if ended.signal is None else "signal"),
            duration_ms=round(seconds * 1000),
            usage=Usage(user_ms=round(ended.user_seconds * 1000), system_ms=round(ended.system_seconds * 1000)),
        )
        return encode_line(Notification("process/exited", event))

    def closed(self, seq: int, stdout_bytes: int, stderr_bytes: int, reason: CloseReason) -> bytes:
        """The line for the close."""
        event = Closed(self._process_id, seq, stdout_bytes, stderr_bytes, reason)
        return encode_line(Notification("process/closed", event))
