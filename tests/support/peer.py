"""A client of `serve()` in the same process: a wire in memory, children without a kernel, and so virtual time."""

import base64
import json
from collections import deque
from collections.abc import Callable
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from execserver.server.child import Child
from execserver.server.limits import DEFAULTS, Limits
from execserver.server.serve import Host, serve
from execserver.server.spawn import Command
from execserver.wire.errors import Fault
from tests.support.fake_child import FakeChild
from tests.support.memory_wire import MemoryWire

PATIENCE = 1000  # virtual seconds


class Refused(Exception):
    """An error that was answered."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.data: dict[str, Any] = error["data"]
        self.kind: str = self.data["kind"]


class Peer:
    """``commands`` is what was spawned; ``ended`` is set when `serve` has returned.

    ``prepared`` is how much of the wire had been written when the server last made ready for another spawn,
    ``written_at_spawns`` how much when it made each.
    """

    def __init__(self, limits: Limits = DEFAULTS) -> None:
        self.wire = MemoryWire()
        self.commands: list[Command] = []
        self.children: dict[str, FakeChild] = {}
        self.ended = trio.Event()
        self.swept_at: list[float] = []
        self.end_session: Callable[[str], None] = lambda cause: None
        self.prepared = 0
        self.written_at_spawns: list[int] = []
        self._limits = limits
        self._next_children: deque[FakeChild | Fault] = deque()
        self._next_id = 0
        self._parsed = 0
        self._lines: list[Any] = []

    async def serve(self) -> None:
        await serve(self.wire, Host(self._spawn, self._prepare, self._background, self._sweep), self._limits)
        self.ended.set()

    async def shake_hands(self) -> Any:
        result = await self.call("initialize", clientName="test")
        self.wire.send(b'{"method":"initialized"}\n')
        return result

    # Requests.

    def send(self, method: str, **params: Any) -> int:
        """Send a request; return its id."""
        self._next_id += 1
        request = {"id": self._next_id, "method": method, "params": params}
        self.wire.send(json.dumps(request).encode() + b"\n")
        return self._next_id

    async def answer(self, request_id: Any) -> Any:
        """Wait for the result; an error is raised as `Refused`."""
        with trio.fail_after(PATIENCE):
            while not (found := [line for line in self.lines() if line.get("id", self) == request_id]):
                await self.wire.wait_output()
        (answer,) = found
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    async def call(self, method: str, **params: Any) -> Any:
        return await self.answer(self.send(method, **params))

    async def refusal(self, method: str, **params: Any) -> Refused:
        """Make a call that must fail."""
        try:
            result = await self.call(method, **params)
        except Refused as refused:
            return refused
        raise AssertionError(f"{method} was answered {result}")

    async def start(self, process_id: str, child: FakeChild | Fault | None = None, **params: Any) -> FakeChild:
        """Start a process; the child is this one. A `Fault` is what the spawn fails with."""
        child = FakeChild() if child is None else child
        self._next_children.append(child)
        await self.call("process/start", **{"processId": process_id, "argv": ["x"]} | params)
        assert isinstance(child, FakeChild)
        self.children[process_id] = child
        return child

    def expect_starts(self, count: int) -> list[FakeChild]:
        """Give the children of the next starts."""
        children = [FakeChild() for _ in range(count)]
        self._next_children.extend(children)
        return children

    async def start_unanswered(self, process_id: str, child: FakeChild | None = None, **params: Any) -> None:
        """Start a process while nothing comes out."""
        child = self.children[process_id] = child or FakeChild()
        self._next_children.append(child)
        self.send("process/start", processId=process_id, argv=["x"], **params)
        await wait_all_tasks_blocked()

    async def write(self, process_id: str, data: bytes, **params: Any) -> str:
        answer = await self.answer(self.send_write(process_id, data, **params))
        status: str = answer["status"]
        return status

    def send_write(self, process_id: str, data: bytes, **params: Any) -> int:
        return self.send("process/write", processId=process_id, chunk=base64.b64encode(data).decode(), **params)

    # What came out.

    def lines(self) -> list[Any]:
        """Every whole line, decoded."""
        end = self.wire.output.rfind(b"\n") + 1
        for line in self.wire.output[self._parsed : end].splitlines():
            decoded = json.loads(line)
            assert decoded.pop("jsonrpc") == "2.0"
            self._lines.append(decoded)
        self._parsed = end
        return self._lines

    def events(self, process_id: str) -> list[tuple[Any, ...]]:
        """Its notifications: (seq, stream, data), (seq, exit code, reason) and (seq, reason)."""
        told: list[tuple[Any, ...]] = []
        for line in self.lines():
            params = line.get("params", {})
            if params.get("processId") != process_id:
                continue
            if line["method"] == "process/output":
                told.append((params["seq"], params["stream"], base64.b64decode(params["chunk"])))
            elif line["method"] == "process/exited":
                told.append((params["seq"], params["exitCode"], params["reason"]))
            else:
                assert line["method"] == "process/closed"
                told.append((params["seq"], params["reason"]))
        return told

    async def closed(self, process_id: str) -> list[tuple[Any, ...]]:
        """Wait until it has closed; return its events."""
        with trio.fail_after(PATIENCE):
            while not (events := self.events(process_id)) or len(events[-1]) != 2:
                await self.wire.wait_output()
        return events

    # What the host does.

    def _prepare(self) -> None:
        self.prepared = len(self.wire.output)

    def _spawn(self, command: Command) -> Child:
        self.commands.append(command)
        self.written_at_spawns.append(len(self.wire.output))
        child = self._next_children.popleft() if self._next_children else FakeChild(tty=bool(command.size))
        if isinstance(child, Fault):
            raise child
        return child

    async def _background(self, end: Callable[[str], None]) -> None:
        self.end_session = end
        await trio.sleep_forever()

    async def _sweep(self) -> None:
        self.swept_at.append(trio.current_time())
