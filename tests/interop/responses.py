"""A model that plays a script: the Responses API over SSE on loopback, and a record of what it was asked.

Standard library only. It never thinks: each request takes the next turn of the script, and when the script has ended,
a closing message ends Codex's run. A turn is what the model says, or a function that is given what Codex has sent back
so far (a `Transcript`) and returns what the model says: so a script follows a session number. If it returns None, the
time for it has not come: the model says something that takes a moment, and the function is asked again.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

Item: TypeAlias = dict[str, Any]
"""One item of what the model says: a call of a tool, or a message."""

CLOSING = "The script has ended."
PAUSES = 100  # of 0.1 s and more: an MCP server starts in one


@dataclass(frozen=True)
class Transcript:
    """The bodies of Codex's requests so far, in order."""

    requests: list[dict[str, Any]] = field(default_factory=list)

    @property
    def contents(self) -> list[Any]:
        """What Codex sent back for each call, in that order: a text, or a list of content items."""
        kinds = ("function_call_output", "custom_tool_call_output")
        last = self.requests[-1]["input"] if self.requests else []
        return [item["output"] for item in last if item.get("type") in kinds]

    @property
    def outputs(self) -> list[str]:
        """The same, content items as JSON."""
        return [each if isinstance(each, str) else json.dumps(each) for each in self.contents]

    @property
    def session(self) -> int:
        """The number of the command that was last said to be running."""
        numbers = re.findall(r"session ID (\d+)", "\n".join(self.outputs))
        assert numbers, f"no command is running: {self.outputs}"
        return int(numbers[-1])

    @property
    def briefing(self) -> str:
        """The first request whole, as JSON: instructions, project documents, skills, the user's words, the tools."""
        return json.dumps(self.requests[0], ensure_ascii=False) if self.requests else ""


Turn: TypeAlias = Sequence[Item] | Callable[[Transcript], Sequence[Item] | None]


def call(name: str, **arguments: object) -> Item:
    """A call of a function tool."""
    return {"type": "function_call", "name": name, "arguments": json.dumps(arguments)}


def call_mcp(server: str, tool: str, **arguments: object) -> Item:
    """A call of a tool of an MCP server, which Codex puts in a namespace."""
    return {**call(tool, **arguments), "namespace": f"mcp__{server}"}


def run(cmd: str, *, yield_time_ms: int = 20_000, **arguments: object) -> Item:
    """A shell command. Codex answers when it ends, at the latest after yield_time_ms, with a session number then."""
    return call("exec_command", cmd=cmd, yield_time_ms=yield_time_ms, login=False, **arguments)


def write_stdin(session: int, chars: str, *, yield_time_ms: int = 20_000) -> Item:
    """Type into a running command; without characters, only wait for it."""
    return call("write_stdin", session_id=session, chars=chars, yield_time_ms=yield_time_ms)


def when_offered(servers: Sequence[str], say: Sequence[Item]) -> Turn:
    """Say it once the tools of these MCP servers are offered: Codex does not wait for them to start."""

    def turn(so_far: Transcript) -> Sequence[Item] | None:
        offered = {tool.get("name") for tool in so_far.requests[-1]["tools"]}
        return say if offered >= {f"mcp__{server}" for server in servers} else None

    return turn


def apply_patch(text: str) -> Item:
    """A patch, which is no JSON but a text of its own grammar."""
    return {"type": "custom_tool_call", "name": "apply_patch", "input": text}


class Model:
    """The script, the place in it, and the record."""

    def __init__(self, script: Sequence[Turn]) -> None:
        self.transcript = Transcript()
        self.failure: Exception | None = None  # of a turn that is a function: raised in its thread, shown in the test
        self._script = list(script)
        self._lock = threading.Lock()
        self._place = 0
        self._pauses = 0
        self._calls = 0

    def answer(self, body: dict[str, Any]) -> list[Item]:
        """Record the request; say what comes next in the script, with numbered calls."""
        with self._lock:
            self.transcript.requests.append(body)
            return [self._numbered(item) for item in self._say()]

    def _say(self) -> Sequence[Item]:
        if self._place == len(self._script):
            content = [{"type": "output_text", "text": CLOSING}]
            return [{"type": "message", "role": "assistant", "content": content}]
        turn = self._script[self._place]
        items = turn(self.transcript) if callable(turn) else turn
        if items is None:
            self._pauses += 1
            assert self._pauses <= PAUSES, "the time for the next turn never came"
            return [run("sleep 0.1")]
        self._place += 1
        return items

    def _numbered(self, item: Item) -> Item:
        self._calls += 1
        return {**item, "call_id": f"call_{self._calls}"} if item["type"] != "message" else item


@contextmanager
def serve(script: Sequence[Turn]) -> Iterator[tuple[Model, int]]:
    """Serve the script on a free port of loopback."""
    model = Model(script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            try:
                stream = _as_events(model.answer(body))
            except Exception as failure:
                model.failure = failure
                self.send_error(500)
                return
            with suppress(ConnectionError):  # Codex may be killed while it is told
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("content-length", str(len(stream)))
                self.end_headers()
                self.wfile.write(stream)

        def log_message(self, format: str, *args: object) -> None:
            pass  # pytest's output is not for access logs

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield model, server.server_port
        finally:
            server.shutdown()
            thread.join()


def _as_events(items: Sequence[Item]) -> bytes:
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"id": "response"}},
        *({"type": "response.output_item.done", "output_index": at, "item": item} for at, item in enumerate(items)),
        {"type": "response.completed", "response": {"id": "response", "usage": usage}},
    ]
    return "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in events).encode()
