"""What calls answer, in the clients' own terms. No I/O."""

from msgspec import Struct

from execserver.client.events import Output
from execserver.client.inbound import TextPage
from execserver.wire.base64 import decode_text


class Page(Struct, frozen=True):
    """One answer of ``read()``: retained output behind a cursor, and the state of the process at that time.

    ``next_seq - 1`` is always a safe cursor for the next ``read()``. Members from ``oldest_seq`` on are None where the
    server does not say.
    """

    chunks: tuple[Output, ...]
    next_seq: int
    exited: bool
    exit_code: int | None
    closed: bool
    oldest_seq: int | None = None
    exit_seq: int | None = None
    closed_seq: int | None = None
    dropped_bytes: int | None = None


def to_page(result: TextPage) -> Page:
    """Decode the output of an answer to ``process/read``."""
    return Page(
        tuple(Output(chunk.seq, chunk.stream, decode_text(chunk.chunk)) for chunk in result.chunks),
        result.next_seq,
        result.exited,
        result.exit_code,
        result.closed,
        result.oldest_seq,
        result.exit_seq,
        result.closed_seq,
        result.dropped_bytes,
    )


class Result(Struct, frozen=True):
    """What ``run()`` gives. With ``tty`` or ``merge_stderr`` all output is in ``stdout``.

    ``complete`` is true only if the byte totals of `Closed` equal what was received: false also when a background
    process still holds a stream. ``omitted`` is how many bytes ``max_output`` left out, of both streams, between the
    first ``max_output // 2`` bytes and the rest. ``duration`` is in seconds; `exit_code` is 128+N for signal N.
    ``timed_out`` is true whichever of ``timeout`` and ``idle_timeout`` ended the process; ``reason`` tells which: it is
    ``timeout`` or ``idleTimeout``. Where the word of the exit was lost, and ``reason`` with it, ``timed_out`` is true
    if the time of ``timeout`` was over by then.
    """

    exit_code: int
    signal: str | None
    reason: str | None
    stdout: bytes
    stderr: bytes
    duration: float
    timed_out: bool
    complete: bool
    omitted: int = 0
