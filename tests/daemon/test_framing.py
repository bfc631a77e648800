"""Lines and what is wrong with them: protocol, section 1."""

from collections.abc import AsyncIterator

import pytest

from tests.daemon.launching import launch
from tests.daemon.wire_client import Client


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A daemon of its own for each test: these measure it, or end its input."""
    async with launch() as client:
        yield client


# What is no JSON text: -32700, id null.
NO_JSON = {
    "a word": b"hello",
    "half an object": b'{"jsonrpc":"2.0","id":1,',
    "two values": b'{"jsonrpc":"2.0","id":1,"method":"ping"} {}',
    "single quotes": b"{'id':1,'method':'ping'}",
    "a lone brace": b"{",
    "a trailing comma": b'{"id":1,"method":"ping",}',
    "NaN": b'{"id":1,"method":"ping","params":NaN}',
    "a byte that UTF-8 never has": b'{"id":1,"method":"ping","params":{"a":"\xff"}}',
    "a cut sequence": b'{"id":1,"method":"ping","params":{"a":"\xc3"}}',
    "an overlong slash": b'{"id":1,"method":"ping","params":{"a":"\xc0\xaf"}}',
    "an encoded surrogate": b'{"id":1,"method":"ping","params":{"a":"\xed\xa0\x80"}}',
    "bad UTF-8 in the method": b'{"id":1,"method":"pi\xffng"}',
    "bad UTF-8 outside any string": b'{"id":1,"method":"ping"}\xff',
    "a NUL between tokens": b'{"id":1,\x00"method":"ping"}',
    "a NUL in a string": b'{"id":1,"method":"pi\x00ng"}',
    "a line of NULs": b"\x00" * 100,
    "a blank that JSON does not have": b"\f\v",
    "a raw control character in a string": b'{"id":1,"method":"pi\x01ng"}',
    "nesting of arrays too deep": b"[" * 100_000 + b"]" * 100_000,
    "nesting of objects too deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "nesting too deep in params": b'{"id":1,"method":"ping","params":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a deep unfinished nesting": b"[" * 1_000_000,
    "a bare escape": b'{"id":1,"method":"\\x"}',
    "a byte order mark": b'\xef\xbb\xbf{"id":1,"method":"ping"}',
    "an array that never ends": b"[1,",
    "a byte order mark in UTF-16": '{"id":1,"method":"ping"}'.encode("utf-16"),
}

# What is JSON but no request, with the id that its answer bears.
NO_REQUEST: dict[str, tuple[bytes, object]] = {
    "a number": (b"1", None),
    "a string": (b'"ping"', None),
    "null": (b"null", None),
    "true": (b"true", None),
    "no method": (b'{"jsonrpc":"2.0","id":1001}', 1001),
    "no method, string id": (b'{"jsonrpc":"2.0","id":"x"}', "x"),
    "a method that is a number": (b'{"jsonrpc":"2.0","id":1002,"method":1}', 1002),
    "a method that is null": (b'{"jsonrpc":"2.0","id":1003,"method":null}', 1003),
    "version 1.0": (b'{"jsonrpc":"1.0","id":1004,"method":"ping"}', 1004),
    "a version that is a number": (b'{"jsonrpc":2.0,"id":1005,"method":"ping"}', 1005),
    "a version that is null": (b'{"jsonrpc":null,"id":1006,"method":"ping"}', 1006),
    "a version that is empty": (b'{"jsonrpc":"","id":1007,"method":"ping"}', 1007),
    "an id that is null": (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', None),
    "an id that is true": (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', None),
    "an id that is false": (b'{"jsonrpc":"2.0","id":false,"method":"ping"}', None),
    "an id that is a fraction": (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', None),
    "an id that is an object": (b'{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}', None),
    "an id that is an array": (b'{"jsonrpc":"2.0","id":[1],"method":"ping"}', None),
    "an empty object": (b"{}", None),
    "an object of strangers": (b'{"hello":"world"}', None),
    "an empty batch": (b"[]", None),
    "a batch": (b'[{"jsonrpc":"2.0","id":1008,"method":"ping"},{"jsonrpc":"2.0","id":1009,"method":"ping"}]', None),
    "a batch of notifications": (b'[{"jsonrpc":"2.0","method":"initialized"}]', None),
    "a batch of nonsense": (b"[1,2,3]", None),
}


@pytest.mark.parametrize("handshake", [True, False], ids=["after the handshake", "before the handshake"])
async def test_what_is_not_json_is_answered_with_a_parse_error_and_the_connection_lives(handshake: bool) -> None:
    async with launch(handshake=handshake) as client:
        for name, line in NO_JSON.items():
            await client.send_bytes(line + b"\n")
            answer = await client.answer_to_nobody()
            assert answer["error"]["code"] == -32700, (name, answer)
            assert (await client.refused("no/such/method")).code == -32601, name
        assert not client.nobodys


async def test_json_that_is_no_request_is_answered_with_its_id_where_there_is_one(client: Client) -> None:
    for name, (line, request_id) in NO_REQUEST.items():
        await client.send_bytes(line + b"\n")
        answer = await (client.answer_to_nobody() if request_id is None else client.answer(request_id))
        assert answer["error"]["code"] == -32600, (name, answer)
        assert isinstance(answer["error"]["message"], str), name
        await client.ping()
    assert not client.nobodys, "more than one answer for a line"


async def test_all_the_bad_lines_at_once_are_answered_one_by_one(client: Client) -> None:
    lines = [*NO_JSON.values(), *(line for line, _ in NO_REQUEST.values())]
    await client.send_bytes(b"".join(line + b"\n" for line in lines))
    await client.ping()
    expected = len(NO_JSON) + sum(request_id is None for _, request_id in NO_REQUEST.values())
    await client.until(lambda: len(client.nobodys) >= expected, "every answer")
    assert len(client.nobodys) == expected


async def test_crlf_ends_a_line_as_lf_does(client: Client) -> None:
    await client.send_bytes(b'{"jsonrpc":"2.0","id":"crlf","method":"ping"}\r\n')
    assert (await client.answer("crlf"))["result"] == {}


async def test_blank_lines_are_skipped_without_an_answer(client: Client) -> None:
    await client.send_bytes(b'\n\n\r\n\n   \n\t\r\n{"jsonrpc":"2.0","id":"after","method":"ping"}\n\n')
    assert (await client.answer("after"))["result"] == {}
    assert not client.nobodys


async def test_blanks_around_an_object_are_json(client: Client) -> None:
    await client.send_bytes(b'  \t {"jsonrpc" : "2.0" , "id" : "blanks" , "method" : "ping"} \t \r\n')
    assert (await client.answer("blanks"))["result"] == {}


async def test_a_last_line_without_lf_is_served_at_the_end_of_file(client: Client) -> None:
    await client.send_bytes(b'{"jsonrpc":"2.0","id":"last","method":"ping"}')
    await client.close_stdin()
    assert (await client.answer("last"))["result"] == {}


async def test_a_last_line_that_is_half_a_request_is_answered_as_what_it_is(client: Client) -> None:
    await client.send_bytes(b'{"jsonrpc":"2.0","id":1,"meth')
    await client.close_stdin()
    assert (await client.answer_to_nobody())["error"]["code"] == -32700


async def test_a_line_may_arrive_byte_by_byte(client: Client) -> None:
    for byte in b'{"jsonrpc":"2.0","id":"bytes","method":"ping"}\r\n':
        await client.send_bytes(bytes([byte]))
    assert (await client.answer("bytes"))["result"] == {}


async def test_many_lines_may_arrive_in_one_write(client: Client) -> None:
    await client.send(*({"jsonrpc": "2.0", "id": f"n{n}", "method": "ping"} for n in range(200)))
    for n in range(200):
        assert (await client.answer(f"n{n}"))["result"] == {}


async def test_non_ascii_text_comes_back_as_it_was(client: Client) -> None:
    for name in ("größe", "日本", "\U0001f40d", 'quote"back\\slash', "tab\t", "line\u2028separator", "a" * 4000):
        life = await client.run(name, ["printf", "%s", name])
        assert life.stdout == name.encode()


async def test_escapes_and_raw_utf8_name_the_same_process(client: Client) -> None:
    await client.sh("schlüssel", "read line", pipeStdin=True)
    await client.send_bytes(
        '{"jsonrpc":"2.0","id":"raw","method":"process/terminate","params":{"processId":"schlüssel"}}\n'.encode()
    )
    assert (await client.answer("raw"))["result"]["running"] is True
    await client.until_closed("schlüssel")
    escaped = b'{"jsonrpc":"2.0","id":"esc","method":"process/read","params":{"processId":"schl\\u00fcssel"}}\n'
    await client.send_bytes(escaped)
    assert (await client.answer("esc"))["result"]["closed"] is True


async def test_a_lone_surrogate_in_an_id_or_a_name_does_not_end_the_connection(client: Client) -> None:
    await client.send_bytes(b'{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}\n')
    await client.send_bytes(
        b'{"jsonrpc":"2.0","id":"s","method":"process/start","params":{"processId":"\\udfff","argv":["true"]}}\n'
    )
    await client.send_bytes(b'{"jsonrpc":"2.0","id":"m","method":"\\ud83d"}\n')
    await client.ping()


async def test_the_log_goes_to_stderr_and_stdout_has_protocol_lines_only() -> None:
    async with launch("--log-level", "debug") as client:
        await client.send_bytes(b"nonsense\n")
        await client.answer_to_nobody()
        await client.notify("no/such/notification", a=1)
        await client.send({"jsonrpc": "2.0", "id": 77, "result": {}})
        await client.run("p", ["sh", "-c", "echo out; echo err >&2"])
        await client.ping()
        # every line on stdout has been judged by the client; the log must have gone somewhere
        await client.until(lambda: "no/such/notification" in client.stderr, "the log line of the unknown notification")


async def test_nothing_is_said_before_it_is_asked_for(stranger: Client) -> None:
    await stranger.close_stdin()
    await stranger.until_gone()
    assert stranger.messages == []
