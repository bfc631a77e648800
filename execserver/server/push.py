"""The line of ``process/output``, put together by hand: it is where nearly all of the server's time goes. No I/O.

The encoder of msgspec would do it too, but knows no other base64 than its own. A test holds what is made here equal
to what `wire.process.Output` says.
"""

import msgspec

from execserver.wire.base64 import QUOTE, encode_member
from execserver.wire.envelope import Notification, encode_line
from execserver.wire.process import Closed, Exited, Stream

_LINE = b'%b%d,"stream":"%b","chunk":' + QUOTE + b"%b" + QUOTE + b"}}\n"


class Pusher:
    """Makes the notifications of one process."""

    __slots__ = ("_head",)

    def __init__(self, process_id: str) -> None:
        name = msgspec.json.encode(process_id)
        self._head = b'{"jsonrpc":"2.0","method":"process/output","params":{"processId":' + name + b',"seq":'

    def output(self, seq: int, stream: Stream, data: bytes) -> bytes:
        """The line for one chunk."""
        return _LINE % (self._head, seq, stream.encode(), encode_member(data))


def exited(event: Exited) -> bytes:
    """The line for the exit."""
    return encode_line(Notification("process/exited", event))


def closed(event: Closed) -> bytes:
    """The line for the close."""
    return encode_line(Notification("process/closed", event))
