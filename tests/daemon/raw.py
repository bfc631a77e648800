"""A daemon as a subprocess, and nothing of our client between it and the test."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

ANSWER_SECONDS = 15.0  # far more than anything here takes, on a machine that is busy
END_SECONDS = 5.0  # what the protocol promises


class Daemon:
    """One session. ``pushed`` holds the notifications that came while answers were waited for."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self.pid = process.pid
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._received = bytearray()
        self._last_id = 0
        self._answers: dict[int, Any] = {}
        self.pushed: list[Any] = []

    async def post(self, method: str, /, **params: Any) -> int:
        """Send a request; answer its id."""
        self._last_id += 1
        await self.send({"id": self._last_id, "method": method, "params": params})
        return self._last_id

    async def send(self, *messages: Any) -> None:
        """Send lines in one write, so that the daemon finds them together."""
        await self._stdin.send_all(b"".join(json.dumps(one).encode() + b"\n" for one in messages))

    async def call(self, method: str, /, **params: Any) -> Any:
        """Answer the result."""
        answer = await self.answer(await self.post(method, **params))
        assert "error" not in answer, answer
        return answer["result"]

    async def error(self, method: str, /, **params: Any) -> Any:
        """Answer the error of a call that must fail."""
        answer = await self.answer(await self.post(method, **params))
        assert "result" not in answer, answer
        return answer["error"]

    async def answer(self, request_id: int) -> Any:
        """Wait for the answer to a request."""
        with trio.fail_after(ANSWER_SECONDS):
            while request_id not in self._answers:
                message = await self.receive()
                if "method" in message:
                    self.pushed.append(message)
                else:
                    self._answers[message["id"]] = message
        return self._answers.pop(request_id)

    async def receive(self) -> Any:
        """Receive one message; each line must be one, and nothing else."""
        with trio.fail_after(ANSWER_SECONDS):
            searched = 0
            while (end := self._received.find(b"\n", searched)) < 0:
                searched = len(self._received)
                data = await self._stdout.receive_some(1 << 20)
                assert data, "the daemon closed its output"
                self._received += data
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        message = json.loads(line)
        assert message.pop("jsonrpc") == "2.0"
        return message

    async def push(self) -> Any:
        """Answer the next notification."""
        while not self.pushed:
            message = await self.receive()
            if "method" in message:
                self.pushed.append(message)
            else:
                self._answers[message["id"]] = message
        return self.pushed.pop(0)

    async def end(self) -> int:
        """Close its input; answer its exit code, which must come in time."""
        await self._stdin.aclose()
        with trio.fail_after(END_SECONDS):
            while await self._stdout.receive_some(1 << 20):
                pass
            return await self.process.wait()


@asynccontextmanager
async def running_daemon(*options: str, env: dict[str, str] | None = None, prelude: str = "") -> AsyncIterator[Daemon]:
    """Run a daemon and shake hands. ``prelude`` is code that the daemon's interpreter runs first."""
    code = f"{prelude}\nfrom execserver.cli import main\nraise SystemExit(main({list(options)!r}))"
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env
    )
    assert process.stdin is not None
    assert process.stdout is not None
    async with process.stdin, process.stdout:
        try:
            daemon = Daemon(process)
            await daemon.call("initialize", clientName="test")
            await daemon.send({"method": "initialized"})
            yield daemon
            if process.poll() is None:
                assert await daemon.end() == 0
        finally:
            if process.poll() is None:
                process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
