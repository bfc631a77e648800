"""``execserver run -- CMD``: one command through a daemon of its own, driven by our client for trio."""

import os
import sys
from collections.abc import Sequence
from typing import Final

import trio

from execserver.client.trio import Closed, Disconnected, Event, Exited, Lost, Output, StartError, connect

_NO_DAEMON: Final = 1
# What a shell answers for a command that it cannot run.
_NOT_FOUND: Final = 127
_NOT_RUNNABLE: Final = 126
_BROKEN_PIPE: Final = 128 + 13
_INTERRUPTED: Final = 128 + 2


def run(argv: Sequence[str], *, verbose: bool = False) -> int:
    """Run a command; return its exit code, 128 + N for death by signal N, and 1 if its daemon died.

    Its stdout and stderr go to ours; with ``verbose`` its numbered events are printed instead. Its stdin is empty.
    """
    try:
        return trio.run(_follow, argv, verbose)
    except StartError as error:
        print(f"execserver: {error}", file=sys.stderr)
        return _NOT_FOUND if error.kind == "programNotFound" else _NOT_RUNNABLE
    except Disconnected as error:
        print(f"execserver: {error}", file=sys.stderr)
        return _NO_DAEMON
    except BrokenPipeError:
        return _BROKEN_PIPE
    except KeyboardInterrupt:
        return _INTERRUPTED


async def _follow(argv: Sequence[str], verbose: bool) -> int:
    exit_code = 0
    # Lossless: whoever reads our output may be slow, and there is nobody else whom waiting for it would stop.
    async with connect(lossless=True) as server, await server.start(argv) as process:
        if verbose:
            print(f"{process.process_id}: pid {process.pid}, argv {list(argv)}", flush=True)
        async for event in process.events():
            if verbose:
                print(describe(event), flush=True)
            elif isinstance(event, Output):
                _write(2 if event.stream == "stderr" else 1, event.data)
            elif isinstance(event, Lost):
                lost = "output was" if event.dropped_bytes is None else f"{event.dropped_bytes} bytes of output were"
                print(f"execserver: {lost} lost", file=sys.stderr)
            if isinstance(event, Exited):
                exit_code = event.exit_code
    return exit_code


def describe(event: Event) -> str:
    """One line that says what happened."""
    match event:
        case Output(seq, stream, data):
            return f"{seq:>4}  output  {stream}  {data!r}"
        case Lost(first_seq, last_seq, dropped_bytes):
            size = "" if dropped_bytes is None else f", {dropped_bytes} bytes"
            return f"{first_seq:>4}  lost    up to {last_seq}{size}"
        case Exited(seq, exit_code, signal, reason):
            return f"{seq:>4}  exited  code {exit_code}, reason {reason}" + (f", {signal}" if signal else "")
        case Closed(seq, reason, stdout_bytes, stderr_bytes):
            return f"{seq:>4}  closed  {reason}, {stdout_bytes} bytes of stdout, {stderr_bytes} of stderr"


def _write(fd: int, data: bytes) -> None:
    """Write all of it. It may block: then the command blocks, as it would without us."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
