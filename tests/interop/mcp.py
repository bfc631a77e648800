"""An MCP server with one tool, over stdio and over HTTP: it says who asked, and from where."""

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def answer(request: dict[str, Any], where: str) -> dict[str, Any] | None:
    """The answer to one JSON-RPC request; None to a notification."""
    if "id" not in request:
        return None
    params = request.get("params", {})
    match request["method"]:
        case "initialize":
            server = {"name": "shouter", "version": "1"}
            result = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": server}
        case "tools/list":
            schema = {"type": "object", "properties": {"text": {"type": "string"}}}
            result = {"tools": [{"name": "shout", "description": "Say it loudly.", "inputSchema": schema}]}
        case "tools/call":
            text = params["arguments"]["text"].upper()
            result = {"content": [{"type": "text", "text": f"{text}|{where}"}]}
        case other:
            return {"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32601, "message": other}}
    return {"jsonrpc": "2.0", "id": request["id"], "result": result}


def over_stdio() -> None:
    """Serve stdin and stdout until the end of file."""
    print("noise on stderr", file=sys.stderr, flush=True)
    for line in sys.stdin:
        said = answer(json.loads(line), f"{os.environ.get('MCP_WORD')}|{os.getcwd()}|{os.getppid()}")
        if said is not None:
            print(json.dumps(said), flush=True)


@contextmanager
def over_http() -> Iterator[int]:
    """Serve HTTP on a free port of loopback; tools are called by SSE, the rest is plain JSON."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            said = answer(request, f"{self.headers['x-word']}")
            if said is None:
                self._send(202, "text/plain", b"")
            elif request["method"] == "tools/call":
                self._send(200, "text/event-stream", f"event: message\ndata: {json.dumps(said)}\n\n".encode())
            else:
                self._send(200, "application/json", json.dumps(said).encode())

        def do_GET(self) -> None:
            self._send(405, "text/plain", b"")

        def do_DELETE(self) -> None:
            self._send(200, "text/plain", b"")

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.send_header("mcp-session-id", "one")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    over_stdio()
