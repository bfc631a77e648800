"""A server without processes, for conversations in virtual time: its children are scripts, what they said is known.

It is like ours (it names its extensions, positions and losses), or like the reference server, which does none of it and
pushes output before the answer to the start. What it lacks against both is only what nothing here asks for.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from random import Random
from typing import Any

from execserver.client.events import Closed, Event, Exited, Output

from .script import Later, ModelProcess

METHODS = ("process/start", "process/read", "process/write", "process/terminate", "ping")
EXTENSIONS = ("closeStdin", "drainMs", "timeoutMs", "mergeStderr")


class ModelServer:
    """The server's side of one conversation: `feed` lines, and it calls ``send`` with lines."""

    def __init__(
        self,
        random: Random,
        later: Later,
        send: Callable[[bytes], None],
        *,
        ours: bool,
        retain_bytes: int,
        busy: float = 0.0,
        forgets_after: float | None = None,
    ) -> None:
        self.ours = ours
        self.processes: dict[str, ModelProcess] = {}
        self.refusals: list[Any] = []  # the client's answers to requests: it must refuse them all
        self._random = random
        self._later = later
        self._send = send
        self._retain_bytes = retain_bytes
        self._busy = busy
        self._forgets_after = forgets_after
        self.forgotten: set[str] = set()  # closed long ago: unknown to whoever asks, but not to the tests

    def feed(self, line: bytes) -> None:
        message = json.loads(line)
        if "method" not in message:
            self.refusals.append(message)
            return
        method, params = message["method"], message.get("params") or {}
        if "id" not in message:
            assert method == "initialized"
            return

        def answer(result: Any = None, error: Any = None) -> None:
            outcome = {"result": result} if error is None else {"error": error}
            self._line({"id": message["id"], **outcome})

        if method in ("process/read", "process/write", "process/terminate"):
            process = self.processes.get(params["processId"])
            if process is None or process.name in self.forgotten:
                return answer(error={"code": -32600, "message": f"unknown process id {params['processId']}"})
            if method == "process/read":
                return self._read(process, params, answer)
            if method == "process/write":
                status = process.write(b64decode(params["chunk"]), close=params.get("closeStdin", False))
                return answer({"status": status})
            return answer({"running": process.terminate()})
        if method == "process/start":
            return self._start(params, answer)
        if method == "initialize":
            return answer(self._initialize())
        if method == "ping":
            return answer({})
        return answer(error={"code": -32601, "message": f"unknown method {method}"})

    def _initialize(self) -> dict[str, Any]:
        result: dict[str, Any] = {"sessionId": "00000000-0000-4000-8000-000000000000"}
        if self.ours:
            result["capabilities"] = {"methods": list(METHODS), "extensions": list(EXTENSIONS)}
        return result

    def _start(self, params: dict[str, Any], answer: Callable[..., None]) -> None:
        name = params["processId"]
        process = ModelProcess(name, json.loads(params["argv"][0]), self._retain_bytes, self._later)
        self.processes[name] = process
        process.on_event = lambda event: self._push(name, event)
        if self.ours or self._random.random() < 0.5:
            answer({"processId": name})
            process.go_on()
        else:
            process.go_on()
            answer({"processId": name})

    def _push(self, name: str, event: Event) -> None:
        method, params = "process/closed", {"processId": name, "seq": event.seq}
        match event:
            case Output(_, stream, data):
                method = "process/output"
                params |= {"stream": stream, "chunk": b64encode(data).decode()}
            case Exited(_, exit_code):
                method = "process/exited"
                params |= {"exitCode": exit_code, "sandboxDenied": False}
                params |= {"reason": "exit", "durationMs": 1000} if self.ours else {}
            case Closed(_, reason, stdout, stderr) if self.ours:
                params |= {"reason": reason, "stdoutBytes": stdout, "stderrBytes": stderr}
        self._line({"method": method, "params": params})
        if isinstance(event, Closed) and self._forgets_after is not None:
            self._later(self._forgets_after, lambda: self.forgotten.add(name))

    def _read(self, process: ModelProcess, params: dict[str, Any], answer: Callable[..., None]) -> None:
        if self._random.random() < self._busy:
            return answer(error={"code": -32000, "message": "server busy"})
        after_seq, wait = params.get("afterSeq", 0), params.get("waitMs", 0) / 1000
        page = self._page(process, after_seq, params.get("maxBytes"))
        told = process.exited is not None and after_seq < process.exited.seq
        if page["chunks"] or page["closed"] or told or not wait:
            return answer(page)
        answered = False

        def end_of_poll() -> None:
            nonlocal answered
            if not answered:
                answered = True
                answer(self._page(process, after_seq, params.get("maxBytes")))

        process.polls.append(end_of_poll)
        return self._later(wait, end_of_poll)

    def _page(self, process: ModelProcess, after_seq: int, max_bytes: int | None) -> dict[str, Any]:
        chunks: list[Output] = []
        size = 0
        cut = False
        for event in process.log[after_seq:]:
            if isinstance(event, Output) and event.seq not in process.evicted:
                if chunks and max_bytes is not None and size + len(event.data) > max_bytes:
                    cut = True
                    break
                size += len(event.data)
                chunks.append(event)
        # The reference server names the number behind its last chunk, whatever else there is.
        ends_early = cut or (not self.ours and max_bytes is not None and bool(chunks))
        page: dict[str, Any] = {
            "chunks": [
                {"seq": chunk.seq, "stream": chunk.stream, "chunk": b64encode(chunk.data).decode()} for chunk in chunks
            ],
            "nextSeq": chunks[-1].seq + 1 if ends_early else process.next_seq,
            "exited": process.exited is not None,
            "exitCode": None if process.exited is None else process.exited.exit_code,
            "closed": process.closed is not None,
            "failure": None,
            "sandboxDenied": False,
        }
        if self.ours:
            held = [event.seq for event in process.log if event.seq not in process.evicted]
            page |= {
                "oldestSeq": held[0] if held else process.next_seq,
                "exitSeq": None if process.exited is None else process.exited.seq,
                "closedSeq": None if process.closed is None else process.closed.seq,
                "droppedBytes": process.dropped_bytes,
            }
        return page

    def _line(self, message: dict[str, Any]) -> None:
        self._send(json.dumps({"jsonrpc": "2.0", **message}).encode())
