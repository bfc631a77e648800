"""What the Codex CLI of 0.140 sends, sent by hand: no "jsonrpc", native paths in `cwd`, no `writeId`, only reads.

It takes pushes for wake-up calls and reads all output by `process/read`. The real one runs in `test_codex_commands`;
this one needs nothing but the server, and shows the messages.
"""

import base64
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
import trio

from execserver.lines import LineSplitter

from .codex import SERVER, ours_only

pytestmark = ours_only("the reference server of today refuses native paths")

SECONDS = 30  # each test takes under one; this is for a machine with much else to do

# The same in each of its starts, but for the thread's id.
START = {
    "envPolicy": {"inherit": "all", "ignoreDefaultExcludes": True, "exclude": [], "set": {}, "includeOnly": []},
    "env": {"TERM": "dumb", "NO_COLOR": "1", "PAGER": "cat", "LANG": "C.UTF-8"},
    "pipeStdin": False,
    "arg0": None,
}


class OlderClient:
    """Integer ids from 1, one call at a time, and a push says no more than that there is something to read."""

    def __init__(self, server: trio.Process) -> None:
        assert server.stdin is not None
        assert server.stdout is not None
        self._stdin, self._stdout = server.stdin, server.stdout
        self._splitter = LineSplitter(2**26)
        self._received: deque[dict[str, Any]] = deque()
        self._last_id = 0
        self._woken = False  # by a push that came before an answer

    async def send(self, message: dict[str, Any]) -> None:
        await self._stdin.send_all(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    async def _next(self) -> dict[str, Any]:
        while not self._received:
            data = await self._stdout.receive_some()
            assert data, "the server has gone"
            self._received += [json.loads(line) for line in self._splitter.feed(bytes(data)) if isinstance(line, bytes)]
        return self._received.popleft()

    async def call(self, method: str, params: dict[str, Any] | None) -> dict[str, Any]:
        """The whole answer, result or error."""
        self._last_id += 1
        await self.send({"id": self._last_id, "method": method, "params": params})
        while True:
            message = await self._next()
            if "method" not in message:
                assert message["id"] == self._last_id
                assert isinstance(message["id"], int)
                return message
            self._woken = True

    async def ask(self, method: str, params: dict[str, Any] | None) -> dict[str, Any]:
        answer = await self.call(method, params)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def start(self, process_id: str, command: str, cwd: Path, *, tty: bool = False) -> None:
        argv = ["/bin/bash", "-c", command]
        started = {"processId": process_id, "argv": argv, "cwd": str(cwd), **START, "tty": tty}
        assert (await self.ask("process/start", started))["processId"] == process_id

    async def read_until(self, process_id: str, text: bytes | None) -> tuple[bytes, int | None]:
        """Read as it does, without waiting in the server, until that text has come (None: until closed)."""
        output, after_seq = b"", None
        while True:
            self._woken = False
            params = {"processId": process_id, "afterSeq": after_seq, "maxBytes": None, "waitMs": 0}
            page = await self.ask("process/read", params)
            assert page["failure"] is None
            output += b"".join(base64.b64decode(chunk["chunk"]) for chunk in page["chunks"])
            after_seq = page["nextSeq"] - 1
            if page["closed"] or (text is not None and text in output):
                return output, page["exitCode"]
            if not self._woken:
                await self._next()  # a push: there is more


@asynccontextmanager
async def older_client() -> AsyncIterator[OlderClient]:
    """A server that has been greeted; it must end by itself at the end of its stdin, with exit code 0."""
    with trio.fail_after(SECONDS):
        server = await trio.lowlevel.open_process(list(SERVER), stdin=PIPE, stdout=PIPE)
        try:
            client = OlderClient(server)
            greeting = await client.ask("initialize", {"clientName": "codex-environment", "resumeSessionId": None})
            assert greeting["sessionId"]
            await client.send({"method": "initialized", "params": {}})
            yield client
            await client._stdin.aclose()
            assert await server.wait() == 0
        finally:
            server.kill()
            with trio.CancelScope(shield=True):  # it has been killed: this ends at once
                await server.wait()
            await client._stdin.aclose()
            await client._stdout.aclose()


async def test_environment_info_with_params_null_names_the_shell() -> None:
    async with older_client() as client:
        info = await client.ask("environment/info", None)
        assert Path(info["shell"]["path"]).is_absolute()
        assert info["shell"]["name"]


async def test_a_missing_path_is_the_error_that_it_looks_for(tmp_path: Path) -> None:
    async with older_client() as client:
        missing = await client.call("fs/getMetadata", {"path": f"file://{tmp_path}/.git", "sandbox": None})
        assert missing["error"]["code"] == -32004
        found = await client.ask("fs/getMetadata", {"path": f"file://{tmp_path}", "sandbox": None})
        assert found["isDirectory"] is True


async def test_output_and_exit_code_are_read_with_a_native_cwd(tmp_path: Path) -> None:
    async with older_client() as client:
        await client.start("53745", "pwd; echo err >&2; exit 4", tmp_path)
        output, exit_code = await client.read_until("53745", None)
        assert sorted(output.decode().splitlines()) == sorted([str(tmp_path), "err"])
        assert exit_code == 4
        assert await client.ask("process/terminate", {"processId": "53745"}) == {"running": False}


async def test_a_terminal_is_written_to_without_a_write_id(tmp_path: Path) -> None:
    async with older_client() as client:
        await client.start("27545", 'echo hi; read -r x; echo "<$x>"; exit 4', tmp_path, tty=True)
        await client.read_until("27545", b"hi\r\n")
        chunk = base64.b64encode(b"abc\n").decode()
        written = await client.ask("process/write", {"processId": "27545", "chunk": chunk})
        assert written == {"status": "accepted"}
        output, exit_code = await client.read_until("27545", None)
        assert (output, exit_code) == (b"hi\r\nabc\r\n<abc>\r\n", 4)


async def test_an_interrupt_ends_a_process_with_130(tmp_path: Path) -> None:
    async with older_client() as client:
        await client.start("57291", "echo ready; while :; do sleep 0.1; done", tmp_path)
        await client.read_until("57291", b"ready\n")
        await client.ask("process/signal", {"processId": "57291", "signal": "interrupt"})
        assert await client.read_until("57291", None) == (b"ready\n", 130)


@pytest.mark.parametrize("tty", [False, True])
async def test_output_that_came_before_anyone_read_is_still_there(tmp_path: Path, tty: bool) -> None:
    async with older_client() as client:
        await client.start("1", "printf early; exit 0", tmp_path, tty=tty)
        ended = await client.ask("process/read", {"processId": "1", "afterSeq": 1, "maxBytes": None, "waitMs": 20_000})
        assert ended["exited"]
        assert (await client.read_until("1", None)) == (b"early", 0)
