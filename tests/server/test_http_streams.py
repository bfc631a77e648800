"""Bodies that are streamed: after the answer, as they come, in order, and given up when they must be."""

from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest
import trio

from execserver.server import http
from execserver.server.eager import finish
from execserver.wire.errors import INVALID_PARAMS, SERVER_ERROR
from execserver.wire.http import BodyDelta, RequestParams
from tests.server.http_calls import Peer
from tests.server.loopback import BIG, Loopback, loopback

pytest.importorskip("httpx", reason="needs the extra `http`")


@pytest.fixture
async def peer(nursery: trio.Nursery) -> AsyncIterator[Peer]:
    peer = Peer(nursery)
    yield peer
    await peer.http.aclose()


@pytest.fixture
def web() -> Iterator[Loopback]:
    with loopback() as server:
        yield server


async def test_a_streamed_body_comes_as_it_is_sent_after_the_answer(peer: Peer, web: Loopback) -> None:
    result = await peer(web.url("/hold"), streamResponse=True)
    assert (result["status"], result["bodyBase64"]) == (200, "")
    assert {"name": "content-length", "value": "10"} in result["headers"]
    with pytest.raises(trio.WouldBlock):
        peer.deltas.receive_nowait()  # nothing before the answer
    first = await peer.delta()
    assert first == BodyDelta("r", 1, b"first", done=False, error=None)
    assert msgspec.json.encode(first) == (
        b'{"requestId":"r","seq":1,"deltaBase64":"Zmlyc3Q=","done":false,"error":null}'
    )
    web.held.set()
    assert await peer.delta() == BodyDelta("r", 2, b"other", done=False, error=None)
    assert await peer.delta() == BodyDelta("r", 3, b"", done=True, error=None)


async def test_an_empty_body_is_one_last_delta(peer: Peer, web: Loopback) -> None:
    await peer(web.url("/status/204"), streamResponse=True)
    assert await peer.body() == ([], None)


async def test_a_large_body_comes_in_pieces_far_below_a_mebibyte(peer: Peer, web: Loopback) -> None:
    await peer(web.url("/big"), streamResponse=True)
    pieces, error = await peer.body()
    assert (b"".join(pieces), error) == (BIG, None)
    assert max(len(piece) for piece in pieces) <= 64 << 10


async def test_a_client_that_does_not_read_stops_the_server_it_reads_from(peer: Peer, web: Loopback) -> None:
    peer.before_push = trio.Event()  # the wire is full
    await peer(web.url("/endless"), streamResponse=True)
    await peer(web.url("/echo"))
    sent = -1
    while sent != web.sent:  # until the kernel's buffers are full, and nobody takes from them
        sent = web.sent
        await trio.sleep(0.1)
    assert sent < 100 << 20
    peer.before_push.set()
    for _ in range(1000):
        await peer.delta()


async def test_a_cut_stream_ends_with_an_error(peer: Peer, web: Loopback) -> None:
    await peer(web.url("/cut"), streamResponse=True)
    pieces, error = await peer.body()
    assert pieces == [b"first"]
    assert error is not None
    assert error.startswith("failed to read http/request response body: ")


async def test_the_timeout_is_for_a_streamed_body_too(peer: Peer, web: Loopback) -> None:
    await peer(web.url("/hold"), streamResponse=True, timeoutMs=500)
    assert await peer.body() == ([b"first"], "timed out")


async def test_an_id_is_taken_while_its_body_is_streamed(peer: Peer, web: Loopback) -> None:
    await peer(web.url("/hold"), streamResponse=True)
    fault = await peer.fault(web.url("/echo"), streamResponse=True)
    assert (fault.code, fault.message) == (
        INVALID_PARAMS,
        "http/request streamResponse requestId `r` is already active",
    )
    await peer(web.url("/echo"))  # one that streams nothing may have any id
    web.held.set()
    pieces, error = await peer.body()
    assert (b"".join(pieces), error) == (b"firstother", None)  # how it is cut is TCP's affair
    await peer.fault(web.url("/echo").replace("http:", "https:"), streamResponse=True)
    await peer(web.url("/echo"), streamResponse=True)  # a failure has not taken it
    assert (await peer.body())[1] is None


async def test_an_id_that_would_make_every_delta_too_long_is_refused(peer: Peer, web: Loopback) -> None:
    long = "r" * (http.MAX_ID_LENGTH + 1)
    fault = await peer.fault(web.url("/echo"), streamResponse=True, requestId=long)
    assert (fault.code, fault.kind) == (INVALID_PARAMS, "invalidParams")
    await peer(web.url("/echo"), requestId=long)  # it comes back in deltas alone


async def test_streams_are_bounded(peer: Peer, web: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "STREAMS", 2)
    for name in ("a", "b"):
        await peer(web.url("/hold"), streamResponse=True, requestId=name)
    fault = await peer.fault(web.url("/hold"), streamResponse=True, requestId="c")
    assert (fault.code, fault.kind) == (SERVER_ERROR, "resourceExhausted")


async def test_the_end_of_the_session_ends_the_streams_and_their_connections(web: Loopback) -> None:
    with trio.fail_after(10):
        async with trio.open_nursery() as tasks:
            peer = Peer(tasks)
            await peer(web.url("/endless"), streamResponse=True)
            await peer.delta()
            tasks.cancel_scope.cancel()
        await peer.http.aclose()
        assert await trio.to_thread.run_sync(web.gone.wait, 5)


async def test_a_request_that_is_cancelled_leaves_no_connection(web: Loopback, nursery: trio.Nursery) -> None:
    peer = Peer(nursery)
    await peer(web.url("/echo"))
    with trio.move_on_after(0.1) as scope:
        await finish(peer.http.request(RequestParams("GET", web.url("/endless"), "r")))
    assert scope.cancelled_caught
    assert await trio.to_thread.run_sync(web.gone.wait, 5)
    await peer.http.aclose()
