"""MCP servers of the environment: Codex starts them, or calls them over HTTP, through our server."""

import json
import sys
from pathlib import Path

import pytest

from . import mcp
from .codex import SERVER, Codex, said
from .responses import call_mcp, run, when_offered

pytestmark = pytest.mark.interop

# An unknown model gets MCP tools directly; a known one has to search for them first.
UNKNOWN_MODEL = "some-model"


def configured(codex: Codex, how: str) -> str:
    return f'[mcp_servers.shouter]\nenvironment_id = "mine"\ncwd = {json.dumps(str(codex.workspace))}\n{how}\n'


def test_an_mcp_server_over_stdio_runs_as_a_process_of_our_server(codex: Codex) -> None:
    how = (
        f"command = {json.dumps(sys.executable)}\nargs = {json.dumps([mcp.__file__])}\n"
        'env = { MCP_WORD = "word" }\nstartup_timeout_sec = 15'
    )
    done = codex.run(
        [
            [run("echo $PPID")],
            when_offered(["shouter"], [call_mcp("shouter", "shout", text="quiet")]),
            [call_mcp("shouter", "shout", text="x" * 200_000)],
        ],
        model=UNKNOWN_MODEL,
        config=configured(codex, how),
    )
    server = said(done.outputs[0]).strip()
    results = [event["item"] for event in done.events if event["type"] == "item.completed"]
    texts = [item["result"]["content"][0]["text"] for item in results if item["type"] == "mcp_tool_call"]
    assert texts == [f"{word}|word|{codex.workspace}|{server}" for word in ("QUIET", "X" * 200_000)]


def test_an_mcp_server_over_http_is_called_from_our_server(codex: Codex, tmp_path: Path) -> None:
    wire = tmp_path / "wire"
    codex.server = ("sh", "-c", 'tee "$0" | "$@"', str(wire), *SERVER)
    with mcp.over_http() as port:
        how = f'url = "http://127.0.0.1:{port}/mcp"\nhttp_headers = {{ x-word = "word" }}\nstartup_timeout_sec = 15'
        how = configured(codex, how).replace("cwd = ", "# cwd = ")  # an HTTP server has no directory
        script = [when_offered(["shouter"], [call_mcp("shouter", "shout", text="quiet")])]
        done = codex.run(script, model=UNKNOWN_MODEL, config=how)
    assert "QUIET|word" in done.outputs[-1]
    requests = [json.loads(line) for line in wire.read_text().splitlines()]
    bodies = [each["params"] for each in requests if each.get("method") == "http/request"]
    assert any(f":{port}/mcp" in body["url"] and body["streamResponse"] for body in bodies)
