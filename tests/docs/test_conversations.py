"""Every conversation of the reference happens as the page says: blocks ```jsonl, `>` to the server, `<` from it.

A line `<` is the next line of the server. Members that are not shown may be there; ``...`` stands for anything.
"""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from .pages import PAGES, ROOT, Block, blocks

SECONDS = 30.0  # for one line; the slowest takes 0.2

conversations = [block for page in PAGES for block in blocks(page) if block.language == "jsonl"]

HANDSHAKE = """\
> {"id": 0, "method": "initialize", "params": {"clientName": "the documentation"}}
< {"id": 0, "result": {}}
> {"method": "initialized"}
"""


@pytest.mark.parametrize("block", conversations, ids=lambda block: block.place)
def test_a_conversation_goes_as_the_page_says(block: Block) -> None:
    text = block.text if '"initialize"' in block.text else HANDSHAKE + block.text
    with daemon() as server:
        for line in text.splitlines():
            if line.startswith("> "):
                server.send(line[2:])
            else:
                assert line.startswith("< "), block.place
                received = server.receive()
                assert agrees(json.loads(line[2:]), received), f"{block.place} shows {line[2:]}, received {received}"


def agrees(shown: Any, received: Any) -> bool:
    if shown == "...":
        return received is not None
    if isinstance(shown, dict):
        return isinstance(received, dict) and all(
            name in received and agrees(value, received[name]) for name, value in shown.items()
        )
    if isinstance(shown, list):
        return isinstance(received, list) and len(shown) == len(received) and all(map(agrees, shown, received))
    return type(shown) is type(received) and bool(shown == received)


class Daemon:
    def __init__(self, child: "subprocess.Popen[bytes]") -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        self._input, self._output = child.stdin, child.stdout
        self._received = b""

    def send(self, line: str) -> None:
        self._input.write(line.encode() + b"\n")
        self._input.flush()

    def receive(self) -> Any:
        until = time.monotonic() + SECONDS
        while b"\n" not in self._received:
            ready, _, _ = select.select([self._output], [], [], max(0.0, until - time.monotonic()))
            assert ready, "nothing comes"
            data = os.read(self._output.fileno(), 65536)
            assert data, "the server has gone"
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return json.loads(line)


@contextmanager
def daemon() -> Iterator[Daemon]:
    child = subprocess.Popen(
        [sys.executable, "-m", "execserver", "--log-level", "error"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with child:
        try:
            yield Daemon(child)
            assert child.stdin is not None
            child.stdin.close()
            assert child.stdout is not None
            child.stdout.read()
            assert child.wait(SECONDS) == 0
        finally:
            child.kill()


@pytest.mark.parametrize(
    ("shown", "received", "same"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1}, {"b": 1}, False),
        ({"a": "..."}, {"a": {"any": "thing"}}, True),
        ({"a": "..."}, {"a": None}, False),
        ([1], [1, 2], False),
        (True, 1, False),
    ],
)
def test_only_what_is_not_shown_may_differ(shown: Any, received: Any, same: bool) -> None:
    assert agrees(shown, received) is same
