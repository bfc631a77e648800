"""The lines of what a process tells. That of its output is where nearly all of the server's time goes. No I/O.

With `pybase64` it is put together by hand, since the encoder of msgspec knows no other base64 than its own. A test
holds what is made here equal to what `wire.process.Output` says.
"""

import msgspec

from execserver.wire.base64 import encode_fast
from execserver.wire.envelope import Notification, encode_line
from execserver.wire.process import Closed, Exited, Output, Stream

_LINE = b'%b%d,"stream":"%b","chunk":"%b"}}\n'


class Pusher:
    """Makes the notifications of one process."""

    __slots__ = ("_head", "_process_id")

    def __init__(self, process_id: str) -> None:
        self._process_id = process_id
        name = msgspec.json.encode(process_id)
        self._head = b'{"jsonrpc":"2.0","method":"process/output","params":{"processId":' + name + b',"seq":'

    def output(self, seq: int, stream: Stream, data: bytes) -> bytes:
        """The line for one chunk."""
        if encode_fast is None:  # then no copy of the base64 is made: 2 us of 51 for 64 KiB
            return encode_line(Notification("process/output", Output(self._process_id, seq, stream, data)))
        return _LINE % (self._head, seq, stream.encode(), encode_fast(data))


def exited(event: Exited) -> bytes:
    """The line for the exit."""
    return encode_line(Notification("process/exited", event))


def closed(event: Closed) -> bytes:
    """The line for the close."""
    return encode_line(Notification("process/closed", event))
