"""What a server says that no client has asked for: banners, strange messages, requests, garbage. No I/O.

All of it is made from a `Random`, and nothing of it can be mistaken for an answer to a request: a stray answer has an
id that no client uses.
"""

import json
from random import Random
from typing import Any

_BANNERS = (
    b"Welcome to Debian GNU/Linux 13 (trixie)",
    b"Last login: Mon Nov 17 09:12:44 2025 from 10.0.0.7",
    b"\x1b[1;31mAuthorized use only.\x1b[0m All activity is logged.",
    b"",
    b"   * * *   ",
    b"caf\xe9 in a charset that is not UTF-8",
    b"[motd] 3 packages can be updated.",
    b"{not json",
    "näch­ste Wartung: Sonntag".encode(),
)

_GARBAGE = (
    b"Segmentation fault (core dumped)",
    b'{"jsonrpc":"2.0","method":',
    b'{"jsonrpc":"2.0","id":1,"result":{}}}',
    b"\xff\xfe\x00{",
    b'{"id":1,"method":"\xff"}',
    b'{"jsonrpc":"2.0","id":"stranger","result":"\xff"}',
    b"{}",
    b'{"jsonrpc":"2.0","id":3}',
    b"[]",
    b"null",
    b'"process/output"',
    b"[" * 5000,
    b'{"jsonrpc":"2.0","method":"process/output","params":{"processId":"p","seq":"1","stream":"stdout","chunk":""}}',
)

_PARAMS: tuple[Any, ...] = (
    None,
    {},
    [],
    "text",
    7,
    {"processId": "stranger", "seq": 1},
    [[{}]],
    {"deep": {"er": [None]}},
)

_METHODS = (
    "process/progress",
    "process/outputs",
    "$/cancelRequest",
    "notifications/message",
    "http/request/headers",
    "",
    "prozeß/ausgabe",
    "initialize",
)


def banner(random: Random) -> bytes:
    """Make a few lines such as come before a server speaks, with their line ends."""
    return b"".join(random.choice(_BANNERS) + b"\n" for _ in range(random.randint(1, 4)))


def stranger(random: Random) -> bytes:
    """Make a line that every client must ignore."""
    match random.randrange(6):
        case 0:
            return b" " * random.randrange(2)
        case 1:
            return _notification("process/output", {**_event(random), "stream": "stdout", "chunk": "c3RyYW5nZXI="})
        case 2:
            return _notification("process/exited", {**_event(random), "exitCode": 0, "sandboxDenied": False})
        case 3:
            return _notification("process/closed", _event(random))
        case 4:
            answer = {"result": random.choice(_PARAMS)} if random.random() < 0.5 else {"error": _error(random)}
            return _line({"id": random.choice(("stranger", -1, 2**53 - 1)), **answer})
        case _:
            return _notification(random.choice(_METHODS), random.choice(_PARAMS))


def request(random: Random, number: int) -> bytes:
    """Make a request to the client, which it answers with -32601. Its small integer ids are also the client's."""
    request_id = random.choice((random.randint(1, 8), f"server-{number}", number + 1_000_000))
    return _line({"id": request_id, "method": random.choice(_METHODS), "params": random.choice(_PARAMS)})


def garbage(random: Random, line: bytes) -> bytes:
    """Make a line that is no message: of its own, or the beginning of ``line``."""
    if random.random() < 0.3:
        return line[: random.randint(1, max(1, len(line) - 1))]
    return random.choice(_GARBAGE)


def with_member(line: bytes) -> bytes:
    """Put a member that nobody knows into a message."""
    return b'{"x-unknown":[1,{"\\u0061":null}],' + line[1:] if line.startswith(b'{"') else line


def _event(random: Random) -> dict[str, Any]:
    return {"processId": random.choice(("stranger", "", "p\u0000")), "seq": random.randint(1, 9)}


def _error(random: Random) -> dict[str, Any]:
    return {"code": random.choice((-32700, -32600, -32000)), "message": "to nobody", "data": random.choice(_PARAMS)}


def _notification(method: str, params: Any) -> bytes:
    return _line({"method": method, "params": params})


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")).encode()
