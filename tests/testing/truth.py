"""What a client gave, held against what the model server knows.

Rules of a subscription: it gives 1, 2, 3 … as the server numbered them, `Lost` for what was evicted and for nothing
else, and ends with `Closed`, or raises `Disconnected` behind a beginning of all that.
"""

from collections.abc import Sequence

from execserver.client.events import Closed, Event, Exited, Lost, Output
from execserver.client.results import Result

from .script import ModelProcess


def check_exactly(given: Sequence[Event], process: ModelProcess, after_seq: int, *, whole: bool) -> None:
    """Each number behind ``after_seq`` once and in order, as the server made it; lost is what it evicted."""
    expected = after_seq + 1
    for event in given:
        if isinstance(event, Lost):
            assert event.first_seq == expected
            assert set(range(event.first_seq, event.last_seq + 1)) <= process.evicted, "not evicted, but lost"
        else:
            assert event.seq == expected
            _check_event(event, process.log[event.seq - 1])
        expected = event.seq + 1
    if whole and process.closed is not None and process.closed.seq > after_seq:
        assert given
        assert given[-1].seq == process.closed.seq


def check_what_can_be_known(given: Sequence[Event], process: ModelProcess, after_seq: int, *, whole: bool) -> None:
    """Where the server says neither what it evicted nor where the exit is, the exit may be taken for a loss."""
    last_seq = after_seq
    for event in given:
        assert event.seq > last_seq or isinstance(event, Exited)
        if isinstance(event, Output):
            assert event == process.log[event.seq - 1]
        elif isinstance(event, Exited):
            assert process.exited is not None
            assert event.exit_code == process.exited.exit_code
        last_seq = event.seq
    if whole and process.closed is not None and process.closed.seq > after_seq:
        assert isinstance(given[-1], Closed)
        assert given[-1].seq == process.closed.seq


def _check_event(event: Event, truth: Event) -> None:
    """Compare; what only a push can say may be None."""
    match event, truth:
        case Exited(), Exited():
            assert event.exit_code == truth.exit_code
        case Closed(), Closed():
            assert event.stdout_bytes in (None, truth.stdout_bytes)
            assert event.stderr_bytes in (None, truth.stderr_bytes)
        case _:
            assert event == truth


def check_result(result: Result, process: ModelProcess) -> None:
    """A result has the exit code, and if it calls itself complete every byte."""
    assert process.exited is not None, "run() returned before the exit"
    assert result.exit_code == process.exited.exit_code
    if result.complete:
        assert result.stdout == _bytes_of(process, "stdout")
        assert result.stderr == _bytes_of(process, "stderr")


def _bytes_of(process: ModelProcess, stream: str) -> bytes:
    return b"".join(event.data for event in process.log if isinstance(event, Output) and event.stream == stream)
