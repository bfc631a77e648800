"""What arrives from the daemon, and the rules that every line of every test is held to.

One JSON object a line, the version member, one answer for each id, numbers from 1 without gaps and in order, one exit
and one close, totals that equal what was sent. A breach fails the test at its end, whatever the test itself looked at.
"""

import base64
import json
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

LARGEST_NOTIFICATION = 2**20

# Another server can be put under the same tests: EXECSERVER_TEST_COMMAND="codex exec-server --listen stdio"
OTHER = shlex.split(os.environ.get("EXECSERVER_TEST_COMMAND", ""))

Message = dict[str, Any]


class RpcError(Exception):
    """The daemon answered with an error."""

    def __init__(self, error: Message) -> None:
        super().__init__(error)
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.data: Message = error.get("data") or {}

    @property
    def kind(self) -> str | None:
        found: str | None = self.data.get("kind")
        return found


@dataclass
class Event:
    """One numbered notification: ``output``, ``exited`` or ``closed``."""

    name: str
    params: Message
    data: bytes = b""

    @property
    def seq(self) -> int:
        seq: int = self.params["seq"]
        return seq


@dataclass
class Life:
    """What was pushed about one process."""

    process_id: str
    events: list[Event] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=lambda: {"stdout": 0, "stderr": 0, "pty": 0})
    next_seq: int = 1
    exited: Message | None = None
    closed: Message | None = None
    sink: Callable[[Event], None] | None = None  # takes the output in place of `events`, for floods

    def data(self, stream: str) -> bytes:
        return b"".join(event.data for event in self.events if event.params.get("stream") == stream)

    @property
    def stdout(self) -> bytes:
        return self.data("stdout")

    @property
    def stderr(self) -> bytes:
        return self.data("stderr")

    @property
    def pty(self) -> bytes:
        return self.data("pty")

    @property
    def exit(self) -> Message:
        assert self.exited is not None, "no process/exited yet"
        return self.exited

    @property
    def close(self) -> Message:
        assert self.closed is not None, "no process/closed yet"
        return self.closed

    def before_exit(self, stream: str = "stdout") -> bytes:
        """The output that is numbered before the exit."""
        return b"".join(
            event.data for event in self.events if event.params.get("stream") == stream and event.seq < self.exit["seq"]
        )


class Record:
    """Everything that came, and what was wrong with it."""

    def __init__(self) -> None:
        self.lives: dict[str, Life] = {}
        self.messages: list[Message] = []  # all of them in order of arrival, but for output that has a sink
        self.answers: dict[tuple[type, object], Message] = {}  # by type and value of the id
        self.nobodys: list[Message] = []  # answers whose id is null
        self.breaches: list[str] = []

    def life(self, process_id: str) -> Life:
        return self.lives.setdefault(process_id, Life(process_id))

    def take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            self.breaches.append(f"not JSON on stdout: {line[:200]!r}")
            return
        if not isinstance(message, dict):
            self.breaches.append(f"no JSON object: {line[:200]!r}")
            return
        if message.get("jsonrpc") != "2.0" and not OTHER:
            self.breaches.append(f'no "jsonrpc": "2.0": {line[:200]!r}')
        if "method" in message:
            if len(line) + 1 > LARGEST_NOTIFICATION:
                self.breaches.append(f"a notification of {len(line)} bytes")
            self._notification(message)
        else:
            self._answer(message)

    def _answer(self, message: Message) -> None:
        self.messages.append(message)
        if ("result" in message) == ("error" in message) or "id" not in message:
            self.breaches.append(f"no answer: {message}")
        elif message["id"] is None:
            self.nobodys.append(message)
        elif (key := (type(message["id"]), message["id"])) in self.answers:
            self.breaches.append(f"answered twice: {message}")
        else:
            self.answers[key] = message

    def _notification(self, message: Message) -> None:
        method, params = message["method"], message["params"]
        if "id" in message or not method.startswith("process/"):
            self.breaches.append(f"no notification that was expected: {message}")
            return
        event = Event(method.removeprefix("process/"), params, base64.b64decode(params.get("chunk", ""), validate=True))
        life = self.life(params["processId"])
        if event.seq == 1 and life.closed:  # the id has been used again
            life = self.lives[life.process_id] = Life(life.process_id)
        if event.seq != life.next_seq and not OTHER:
            self.breaches.append(f"seq {event.seq} where {life.next_seq} was due: {json.dumps(message)[:300]}")
        life.next_seq = event.seq + 1
        if life.closed:
            self.breaches.append(f"after closed: {json.dumps(message)[:300]}")
        if event.name == "output":
            life.totals[params["stream"]] += len(event.data)
            if not event.data:
                self.breaches.append(f"an empty chunk: {message}")
            if life.sink is not None:
                life.sink(event)
                return
        elif event.name == "exited":
            if life.exited:
                self.breaches.append(f"exited twice: {message}")
            life.exited = params
        elif event.name == "closed":
            if not life.exited and not OTHER:
                self.breaches.append(f"closed before exited: {message}")
            life.closed = params
            sent = (life.totals["stdout"] + life.totals["pty"], life.totals["stderr"])
            if (params.get("stdoutBytes"), params.get("stderrBytes")) != sent and not OTHER:
                self.breaches.append(f"sent {sent} bytes, but {message}")
        else:
            self.breaches.append(f"unknown notification: {message}")
        life.events.append(event)
        self.messages.append(message)


def result_of(answer: Message) -> Message:
    """The result of an answer; raises `RpcError` when it is an error."""
    if "error" in answer:
        raise RpcError(answer["error"])
    result: Message = answer["result"]
    return result


def chunks_of(page: Message, stream: str = "stdout") -> bytes:
    """The bytes of one stream in an answer to process/read."""
    return b"".join(base64.b64decode(one["chunk"]) for one in page["chunks"] if one["stream"] == stream)
