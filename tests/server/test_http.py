"""``http/request`` against a server on loopback: what goes out, what comes back. (Streams: test_http_streams.)"""

import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import trio

from execserver.server import http
from execserver.wire.errors import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND
from tests.server.fs_calls import b64
from tests.server.http_calls import Peer, header
from tests.server.loopback import BIG, CERTIFICATE, GZIPPED, Loopback, loopback

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


# What goes out


async def test_nothing_is_added_but_host_and_accept(peer: Peer, web: Loopback) -> None:
    seen = await peer.echo(web.url("/echo"))
    assert seen["method"] == "GET"
    assert sorted((name.lower(), value) for name, value in seen["headers"]) == [
        ("accept", "*/*"),
        ("host", f"127.0.0.1:{web.server_port}"),
    ]


async def test_headers_go_out_in_order_repeated_and_as_utf_8(peer: Peer, web: Loopback) -> None:
    sent = [("X-B", "1"), ("x-a", "2"), ("X-B", "3"), ("accept", "text/html"), ("Host", "elsewhere"), ("x-u", "é")]
    seen = await peer.echo(web.url("/echo"), headers=header(*sent))
    host_first = [sent[4], *sent[:4]]  # as RFC 9112 would have it
    assert [tuple(pair) for pair in seen["headers"]] == [*host_first, ("x-u", "é".encode().decode("latin-1"))]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET", "MIXED"])
async def test_a_body_goes_out_with_its_length(peer: Peer, web: Loopback, method: str) -> None:
    body = bytes(range(256))
    seen = await peer.echo(web.url("/echo"), method=method, bodyBase64=b64(body))
    assert (seen["method"], seen["body"]) == (method, body.decode("latin-1"))
    assert ["Content-Length", "256"] in seen["headers"]


async def test_a_user_in_the_url_authorizes(peer: Peer, web: Loopback) -> None:
    seen = await peer.echo(web.url("/echo").replace("//", "//user:word@"))
    assert ["Authorization", "Basic " + b64(b"user:word")] in seen["headers"]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ftp://x/", "only supports http and https URLs, got ftp"),
        ("file:///etc/passwd", "only supports http and https URLs, got file"),
        ("/path", "url is invalid: relative URL without a base"),
        ("", "url is invalid: relative URL without a base"),
        ("http://", "url is invalid: empty host"),
        ("http://[::1", "url is invalid: "),
        ("http://x:port/", "url is invalid: "),
        ("http://xn--/", "url is invalid: "),
        ("http://\u2488com/", "url is invalid: "),
    ],
)
async def test_what_is_no_url_of_the_web_is_refused(peer: Peer, url: str, problem: str) -> None:
    fault = await peer.fault(url)
    assert (fault.code, fault.kind) == (INVALID_PARAMS, "invalidArgument")
    assert fault.message.startswith(f"http/request {problem}")


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"method": "B AD"}, "method is invalid: invalid HTTP method"),
        ({"method": ""}, "method is invalid: invalid HTTP method"),
        ({"method": "GET / HTTP/1.1\r\nx: y\r\n"}, "method is invalid: invalid HTTP method"),
        ({"headers": header(("b ad", "x"))}, "header name is invalid: invalid HTTP header name"),
        ({"headers": header(("", "x"))}, "header name is invalid: invalid HTTP header name"),
        ({"headers": header(("x", "a\r\ny: z"))}, "header value is invalid for x: failed to parse header value"),
        ({"headers": header(("Content-Length", "50"))}, "header content-length is 50, but the body has 0 bytes"),
        ({"headers": header(("x", "a\0"))}, "header value is invalid for x: failed to parse header value"),
    ],
)
async def test_what_would_break_the_request_is_refused(
    peer: Peer, web: Loopback, params: dict[str, Any], problem: str
) -> None:
    fault = await peer.fault(web.url("/echo"), **params)
    assert (fault.code, fault.message) == (INVALID_PARAMS, f"http/request {problem}")


# What comes back


async def test_headers_come_back_in_order_and_repeated(peer: Peer, web: Loopback) -> None:
    result = await peer(web.url("/headers"))
    assert result["headers"] == header(
        ("x-b", "1"), ("x-a", "2"), ("x-b", "3"), ("x-utf8", "é"), ("x-latin", "é"), ("content-length", "0")
    )


@pytest.mark.parametrize("status", [204, 401, 404, 500])
async def test_every_status_is_an_answer(peer: Peer, web: Loopback, status: int) -> None:
    result = await peer(web.url(f"/status/{status}"))
    assert (result["status"], result["bodyBase64"]) == (status, "" if status == 204 else b64(b"status"))


async def test_a_compressed_body_is_left_alone(peer: Peer, web: Loopback) -> None:
    result = await peer(web.url("/gzip"), headers=header(("accept-encoding", "gzip")))
    assert result["bodyBase64"] == b64(GZIPPED)
    await peer(web.url("/gzip"), streamResponse=True)
    pieces, error = await peer.body()
    assert (b"".join(pieces), error) == (GZIPPED, None)


async def test_the_answer_to_head_has_no_body(peer: Peer, web: Loopback) -> None:
    assert (await peer(web.url("/status/204"), method="HEAD"))["bodyBase64"] == ""


async def test_a_large_body_comes_whole(peer: Peer, web: Loopback) -> None:
    assert (await peer(web.url("/big")))["bodyBase64"] == b64(BIG)


async def test_a_body_that_is_too_large_to_hold_is_given_up(
    peer: Peer, web: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "LARGEST_BODY", 1 << 20)
    fault = await peer.fault(web.url("/endless"))
    assert (fault.code, fault.kind) == (INTERNAL_ERROR, "tooLarge")
    assert await trio.to_thread.run_sync(web.gone.wait, 5)


async def test_no_cookie_is_kept(peer: Peer, web: Loopback) -> None:
    result = await peer(web.url("/cookie"))
    assert [field["value"] for field in result["headers"] if field["name"] == "set-cookie"] == [
        "name=value",
        "other=value",
    ]
    assert "cookie" not in {name.lower() for name, _ in (await peer.echo(web.url("/echo")))["headers"]}
    assert "cookie" not in {name.lower() for name, _ in (await peer.echo(web.url("/redirect/302")))["headers"]}


# Redirects


@pytest.mark.parametrize(
    ("status", "method", "body"),
    [(301, "GET", ""), (302, "GET", ""), (303, "GET", ""), (307, "POST", "hi"), (308, "POST", "hi")],
)
async def test_redirects_are_followed_with_the_method_that_the_status_means(
    peer: Peer, web: Loopback, status: int, method: str, body: str
) -> None:
    seen = await peer.echo(web.url(f"/redirect/{status}"), method="POST", bodyBase64=b64(b"hi"))
    assert (seen["method"], seen["body"]) == (method, body)


async def test_redirects_are_not_followed_if_so_asked(peer: Peer, web: Loopback) -> None:
    result = await peer(web.url("/redirect/302"), redirectPolicy="stop")
    assert (result["status"], result["bodyBase64"]) == (302, b64(b"moved"))
    assert {"name": "location", "value": "/echo"} in result["headers"]


async def test_secrets_do_not_follow_to_another_origin(peer: Peer, web: Loopback) -> None:
    sent = header(("authorization", "secret"), ("cookie", "a=b"), ("x-other", "1"))
    there = {
        name.lower(): value
        for name, value in (await peer.echo(web.url("/redirect/302/other"), headers=sent))["headers"]
    }
    assert there == {"x-other": "1", "accept": "*/*", "host": f"localhost:{web.server_port}"}
    here = {name.lower(): value for name, value in (await peer.echo(web.url("/redirect/302"), headers=sent))["headers"]}
    assert (here["authorization"], here["cookie"]) == ("secret", "a=b")


async def test_a_redirect_out_of_the_web_is_an_error(peer: Peer, web: Loopback) -> None:
    fault = await peer.fault(web.url("/redirect/302/file"))
    assert (fault.code, fault.kind) == (INTERNAL_ERROR, "httpError")
    assert fault.message == "http/request failed: redirect target uses unsupported URL scheme: file"


async def test_a_host_that_can_be_no_name_is_an_error_wherever_it_comes_from(peer: Peer, web: Loopback) -> None:
    for url in ("http://.../", web.url("/redirect/302/http://.../"), f"http://{'a' * 64}.invalid/"):
        fault = await peer.fault(url)
        assert (fault.code, fault.kind) == (INTERNAL_ERROR, "httpError"), url


async def test_ten_redirects_are_followed_and_no_more(peer: Peer, web: Loopback) -> None:
    fault = await peer.fault(web.url("/loop"))
    assert (fault.code, fault.kind) == (INTERNAL_ERROR, "tooManyRedirects")
    assert web.sent == 11


# Failures and time


async def test_nobody_there_is_an_error_that_says_where(peer: Peer) -> None:
    fault = await peer.fault("http://user:word@127.0.0.1:1/path")
    assert (fault.code, fault.kind) == (INTERNAL_ERROR, "httpError")
    assert fault.message.startswith("http/request failed: ")
    assert fault.message.endswith(" for url (http://127.0.0.1:1/path)")


async def test_a_server_that_speaks_no_tls_is_an_error(peer: Peer, web: Loopback) -> None:
    assert (await peer.fault(web.url("/echo").replace("http:", "https:"))).kind == "httpError"


async def test_a_body_that_is_cut_is_an_error(peer: Peer, web: Loopback) -> None:
    fault = await peer.fault(web.url("/cut"))
    assert (fault.code, fault.kind) == (INTERNAL_ERROR, "httpError")
    assert fault.message.startswith("failed to read http/request response body: ")


@pytest.mark.parametrize("path", ["/hold/head", "/hold"])
async def test_the_timeout_is_for_head_and_body(peer: Peer, web: Loopback, path: str) -> None:
    await peer(web.url("/echo"))  # the import of the client is not what is measured
    began = trio.current_time()
    fault = await peer.fault(web.url(path), timeoutMs=100)
    assert (fault.code, fault.kind) == (INTERNAL_ERROR, "httpTimeout")
    assert 0.1 <= trio.current_time() - began < 5


async def test_no_time_at_all_is_a_timeout(peer: Peer, web: Loopback) -> None:
    assert (await peer.fault(web.url("/echo"), timeoutMs=0)).kind == "httpTimeout"


# What the environment says


async def test_the_proxy_of_the_environment_is_used_where_it_is_not_excepted(
    peer: Peer, web: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", web.url(""))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert (await peer.echo("http://far.invalid/echo"))["target"] == "http://far.invalid/echo"
    assert (await peer.echo(web.url("/echo")))["target"] == "/echo"


async def test_a_certificate_must_be_trusted_and_the_environment_says_whom_to_trust(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    with loopback(tls=True) as web:
        for trusted in (False, True):
            if trusted:
                monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
            peer = Peer(nursery)
            if trusted:
                assert (await peer.echo(web.url("/echo", host="localhost")))["target"] == "/echo"
            else:
                fault = await peer.fault(web.url("/echo", host="localhost"))
                assert fault.kind == "httpError"
                assert "CERTIFICATE_VERIFY_FAILED" in fault.message
            await peer.http.aclose()


# Without the extra


async def test_without_the_extra_the_method_is_missing_and_says_how_to_get_it(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "execserver.server.http_client", raising=False)
    monkeypatch.setitem(sys.modules, "httpx", None)
    fault = await peer.fault("http://127.0.0.1/")
    assert (fault.code, fault.kind) == (METHOD_NOT_FOUND, "missingExtra")
    assert "pip install execserver[http]" in fault.message


async def test_a_proxy_that_cannot_be_used_is_an_error_and_no_crash(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "gopher://127.0.0.1:1")
    fault = await peer.fault("http://127.0.0.1/")
    assert (fault.code, fault.kind) == (INTERNAL_ERROR, "httpError")
    assert fault.message.startswith("http/request failed: ")
