"""``http/request`` through the daemon: the order on the wire, and the end."""

import base64
from collections.abc import Iterator

import pytest
import trio

from tests.daemon.raw import running_daemon
from tests.server.loopback import BIG, Loopback, loopback

pytest.importorskip("httpx", reason="needs the extra `http`")


@pytest.fixture
def web() -> Iterator[Loopback]:
    with loopback() as server:
        yield server


async def test_the_answer_is_on_the_wire_before_the_body(web: Loopback) -> None:
    async with running_daemon() as daemon:
        for number in range(20):
            request = {"method": "GET", "url": web.url("/status/200"), "requestId": f"{number}"}
            await daemon.send(
                {"id": number + 100, "method": "http/request", "params": request | {"streamResponse": True}}
            )
            answer = await daemon.receive()
            assert (answer["id"], answer["result"]["status"]) == (number + 100, 200)
            first, last = await daemon.receive(), await daemon.receive()
            assert first == {
                "method": "http/request/bodyDelta",
                "params": {
                    "requestId": f"{number}",
                    "seq": 1,
                    "deltaBase64": base64.b64encode(b"status").decode(),
                    "done": False,
                    "error": None,
                },
            }
            assert last["params"] == {
                "requestId": f"{number}",
                "seq": 2,
                "deltaBase64": "",
                "done": True,
                "error": None,
            }


async def test_a_large_body_is_streamed_in_short_lines(web: Loopback) -> None:
    async with running_daemon() as daemon:
        await daemon.call("http/request", method="GET", url=web.url("/big"), requestId="r", streamResponse=True)
        body = b""
        while not (delta := (await daemon.push())["params"])["done"]:
            assert len(delta["deltaBase64"]) < 100_000
            body += base64.b64decode(delta["deltaBase64"])
        assert (body, delta["error"]) == (BIG, None)


async def test_a_stream_that_never_ends_does_not_hold_up_the_end(web: Loopback) -> None:
    async with running_daemon() as daemon:
        await daemon.call("http/request", method="GET", url=web.url("/endless"), requestId="r", streamResponse=True)
        await daemon.push()
        assert await daemon.end() == 0
        assert await trio.to_thread.run_sync(web.gone.wait, 5)


async def test_a_request_and_a_stream_that_wait_delay_nobody(web: Loopback) -> None:
    async with running_daemon() as daemon:
        await daemon.call("http/request", method="GET", url=web.url("/hold"), requestId="r", streamResponse=True)
        held = await daemon.post("http/request", method="GET", url=web.url("/hold/head"), requestId="s")
        assert await daemon.call("ping") == {}
        web.held.set()
        assert (await daemon.answer(held))["result"]["bodyBase64"] == base64.b64encode(b"late").decode()


async def test_without_the_extra_it_is_a_method_that_is_missing() -> None:
    async with running_daemon(prelude="import sys; sys.modules['httpx'] = None") as daemon:
        error = await daemon.error("http/request", method="GET", url="http://127.0.0.1/", requestId="r")
        assert (error["code"], error["data"]) == (-32601, {"kind": "missingExtra"})
        assert "pip install execserver[http]" in error["message"]
