"""An HTTP server on loopback that does what its path says, to find out what a client makes of it."""

import gzip
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CERTIFICATE = Path(__file__).with_name("loopback.pem")

GZIPPED = gzip.compress(b"hello gzip", mtime=0)
BIG = bytes(range(256)) * (12 << 10)  # 3 MiB


class Loopback(ThreadingHTTPServer):
    """``held`` holds what the paths that wait wait for; ``gone`` is set when a client has left one of them."""

    daemon_threads = True

    def __init__(self, *, tls: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._scheme = "https" if tls else "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.held = threading.Event()
        self.gone = threading.Event()
        self.sent = 0

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"{self._scheme}://{host}:{self.server_port}{path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.gone.set()


@contextmanager
def loopback(*, tls: bool = False) -> Iterator[Loopback]:
    with Loopback(tls=tls) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.held.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Loopback
    wbufsize = 0

    def log_message(self, *args: Any) -> None:
        pass

    def answer(self, status: int, headers: list[tuple[str, str]], body: bytes = b"", length: int | None = None) -> None:
        self.send_response_only(status)
        for name, value in [*headers, ("content-length", str(len(body) if length is None else length))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        path = urlsplit(self.path).path  # a client of a proxy asks for the whole URL
        name, _, rest = path.lstrip("/").partition("/")
        getattr(self, f"serve_{name}")(rest, body)

    do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = do_PATCH = do_MIXED = serve

    def serve_echo(self, rest: str, body: bytes) -> None:
        seen = {
            "method": self.command,
            "target": self.path,
            "headers": self.headers.items(),
            "body": body.decode("latin-1"),
        }
        self.answer(200, [], json.dumps(seen).encode())

    def serve_status(self, rest: str, body: bytes) -> None:
        self.answer(int(rest), [], b"status" if int(rest) != 204 else b"")

    def serve_headers(self, rest: str, body: bytes) -> None:
        self.answer(200, [("X-B", "1"), ("X-A", "2"), ("x-b", "3"), ("X-Utf8", "Ã©"), ("X-Latin", "\xe9")])

    def serve_gzip(self, rest: str, body: bytes) -> None:
        self.answer(200, [("content-encoding", "gzip")], GZIPPED)

    def serve_cookie(self, rest: str, body: bytes) -> None:
        self.answer(200, [("set-cookie", "name=value"), ("set-cookie", "other=value")])

    def serve_redirect(self, rest: str, body: bytes) -> None:
        status, _, where = rest.partition("/")
        target = {"other": self.server.url("/echo", host="localhost"), "file": "file:///etc/passwd"}.get(where, where)
        self.answer(int(status), [("location", target or "/echo"), ("set-cookie", "from=redirect")], b"moved")

    def serve_loop(self, rest: str, body: bytes) -> None:
        self.server.sent += 1
        self.answer(302, [("location", "/loop")])

    def serve_big(self, rest: str, body: bytes) -> None:
        self.answer(200, [], BIG)

    def serve_hold(self, rest: str, body: bytes) -> None:
        """Send the head, and a first piece, and wait for being let go; or not even the head (``/hold/head``)."""
        if rest != "head":
            self.answer(200, [], b"first", length=10)
        self.server.held.wait(10)
        if rest == "head":
            self.answer(200, [], b"late")
        else:
            self.wfile.write(b"other")

    def serve_endless(self, rest: str, body: bytes) -> None:
        """Send until the client goes."""
        self.answer(200, [], length=1 << 40)
        while True:
            self.wfile.write(BIG)
            self.server.sent += len(BIG)

    def serve_cut(self, rest: str, body: bytes) -> None:
        self.answer(200, [], b"first", length=10)
        self.close_connection = True
