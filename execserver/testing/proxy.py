"""The stdio proxy: stands where the server stood, and does to its lines what a `Mischief` says.

Client to server nothing is changed, but that answers to requests which the server never made do not reach it. Two
threads, one for each direction, with blocking reads and writes: the proxy holds nothing back that a pipe would not,
so a client that stops reading still stops the server.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import IO, TypeGuard

from execserver.lines import LineSplitter, Oversized
from execserver.testing.mischief import LINE_BYTES, Mischief, Pause, Step

TICK_SECONDS = 0.01
READ_BYTES = 64 << 10
END_SECONDS = 10.0  # for a server whose wire has been cut: execserver needs 5 at most


def run_proxy(command: Sequence[str], mischief: Mischief, *, verbose: bool = False) -> int:
    """Stand between this process's stdin and stdout and ``command``, to the end of either; return its exit code."""
    signal.signal(signal.SIGTERM, _leave)
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    assert server.stdin is not None
    assert server.stdout is not None
    answers = _Answers()
    # A daemon: it may sit in a read of a stdin that nobody will close.
    threading.Thread(target=_carry_up, args=(server.stdin, answers), daemon=True).start()
    ended = False
    try:
        _carry_down(server.stdout.fileno(), mischief)
        ended = not mischief.over
    except BrokenPipeError:  # the client reads no more
        pass
    finally:
        code = _end(server, by_itself=ended)
    if verbose:
        _report(mischief, answers)
    return code


def _carry_down(server: int, mischief: Mischief) -> None:
    data = b"-"
    while data and not mischief.over:
        if mischief.holding and not select.select([server], [], [], TICK_SECONDS)[0]:
            _do(mischief.tick())
        else:
            data = os.read(server, READ_BYTES)
            _do(mischief.feed(data) if data else mischief.finish())


def _do(steps: list[Step]) -> None:
    for step in steps:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
        else:
            _write(1, step)


def _carry_up(server: IO[bytes], answers: "_Answers") -> None:
    with contextlib.suppress(OSError), server:  # it reads no more: the end of its stdout says so to the client
        while data := os.read(0, READ_BYTES):
            _write(server.fileno(), answers.without(data))
        _write(server.fileno(), answers.rest())


class _Answers:
    """The client's answers, taken out of what it sends: the server has asked nothing."""

    def __init__(self) -> None:
        self._lines = LineSplitter(LINE_BYTES)
        self.count = 0

    def without(self, data: bytes) -> bytes:
        """Give what of ``data`` is for the server, in whole lines."""
        return b"".join(line + b"\n" for line in self._lines.feed(data) if self._is_for_the_server(line))

    def rest(self) -> bytes:
        """Give the last line, if it has no end."""
        return b"".join(bytes(line) for line in self._lines.finish() if self._is_for_the_server(line))

    def _is_for_the_server(self, line: bytes | Oversized) -> TypeGuard[bytes]:
        if isinstance(line, Oversized):
            return False
        if b'"result"' not in line and b'"error"' not in line:
            return True
        try:
            message = json.loads(line)
        except ValueError:
            return True
        answers = isinstance(message, dict) and "method" not in message
        self.count += answers
        return not answers


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _end(server: subprocess.Popen[bytes], *, by_itself: bool) -> int:
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)  # first of all: the end of stdout is what a cut is to the client
    os.close(sink)
    if not by_itself:
        server.terminate()
    try:
        return server.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        return server.wait()


def _leave(number: int, _: object) -> None:
    sys.exit(128 + number)


def _report(mischief: Mischief, answers: _Answers) -> None:
    done = ", ".join(f"{kind} {count}" for kind, count in sorted(mischief.done.items()) if count)
    ending = "cut the connection" if mischief.over else "to the end"
    print(
        f"execserver.testing: {done or 'nothing done'}; answers to requests {answers.count}; {ending}", file=sys.stderr
    )
