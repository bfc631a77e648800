"""A child that is a script, in virtual time, and the log of what it did: the truth of a conversation."""

from collections.abc import Callable
from typing import Any

from execserver.client.events import Closed, Event, Exited, Output

# A step of a script: ["output", stream, bytes] | ["wait", seconds] | ["stdin"] (echo it to its end) | ["exit", code]
Script = list[list[Any]]
Later = Callable[[float, Callable[[], None]], None]


class ModelProcess:
    """A script that runs, and the log of what it did."""

    def __init__(self, name: str, script: Script, retain_bytes: int, later: Later) -> None:
        self.name = name
        self.log: list[Event] = []
        self.evicted: set[int] = set()
        self.dropped_bytes = 0
        self.exited: Exited | None = None
        self.closed: Closed | None = None
        self.on_event: Callable[[Event], None] = lambda event: None
        self.polls: list[Callable[[], None]] = []
        self._script = script
        self._retain_bytes = retain_bytes
        self._later = later
        self._totals = {"stdout": 0, "stderr": 0}
        self._stdin_open = True
        self._reads_stdin = False

    @property
    def next_seq(self) -> int:
        return len(self.log) + 1

    def go_on(self) -> None:
        """Do what the script says, up to the next wait."""
        self._reads_stdin = False
        while self.closed is None:
            step: list[Any] = self._script.pop(0) if self._script else ["close"]
            kind, *arguments = step
            match kind:
                case "output":
                    self.output(arguments[0], bytes([self.next_seq % 251]) * arguments[1])
                case "wait":
                    return self._later(arguments[0], self.go_on)
                case "stdin" if self._stdin_open:
                    self._reads_stdin = True
                    return None
                case "exit":
                    self.exit(arguments[0])
                case "close":
                    self.exit(0)
                    self.close()
        return None

    def write(self, data: bytes, *, close: bool) -> str:
        if not self._reads_stdin or not self._stdin_open:
            return "stdinClosed"
        if data:
            self.output("stdout", data)
        if close:
            self._stdin_open = False
            self.go_on()
        return "accepted"

    def terminate(self) -> bool:
        running = self.exited is None
        self._script = []
        self.exit(143)
        self.close()
        return running

    def output(self, stream: str, data: bytes) -> None:
        self._totals[stream] += len(data)
        self._append(Output(self.next_seq, stream, data))  # type: ignore[arg-type]
        held = [event for event in self.log if isinstance(event, Output) and event.seq not in self.evicted]
        size = sum(len(event.data) for event in held)
        for event in held:
            if size <= self._retain_bytes:
                break
            self.evicted.add(event.seq)
            self.dropped_bytes += len(event.data)
            size -= len(event.data)

    def exit(self, code: int) -> None:
        if self.exited is None:
            self.exited = Exited(self.next_seq, code, None, "exit", 1.0)
            self._append(self.exited)

    def close(self) -> None:
        if self.closed is None:
            self.closed = Closed(self.next_seq, "endOfFile", self._totals["stdout"], self._totals["stderr"])
            self._append(self.closed)

    def _append(self, event: Event) -> None:
        self.log.append(event)
        self.on_event(event)
        polls, self.polls = self.polls, []
        for poll in polls:
            poll()
