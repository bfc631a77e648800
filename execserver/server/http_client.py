"""The HTTP client behind ``http/request``: the only module that imports httpx, and so the extra ``http``.

What goes out is what was asked for, and what comes back is what came: no compression is offered or undone, no
cookies are kept, no headers are added but ``host``, ``content-length`` and ``accept: */*``. The environment's
proxies (``HTTP_PROXY``, ``NO_PROXY`` ...) are used, as by the reference server: whoever needs one has no other way out.
"""

import re
from collections.abc import AsyncGenerator
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx
import trio

from execserver.wire.errors import INTERNAL_ERROR, INVALID_PARAMS, Fault
from execserver.wire.http import Header, RequestParams

REDIRECTS = 10  # the reference server's

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2
_CONTROL = re.compile(r"[\0-\x08\x0a-\x1f\x7f]")

# For what is under way on a connection that is given up.
CLOSE_SECONDS = 1.0


class HttpClient:
    """One session's client, and the connections that it keeps. Making one reads certificates: it blocks."""

    def __init__(self) -> None:
        context = httpx.create_ssl_context()  # the usual authorities, or those of SSL_CERT_FILE
        context.load_default_certs()  # and those that this machine trusts, such as a company's own
        self._client = httpx.AsyncClient(
            verify=context,
            timeout=None,  # the whole request has a deadline, or none
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    async def send(self, params: RequestParams) -> "Response":
        """Send a request, follow its redirects if so asked, and answer when a head has come."""
        request = _request(params)
        for _ in range(REDIRECTS + 1):
            try:
                response = await self._client.send(request, stream=True, follow_redirects=False)
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:  # the last of hosts that IDNA refuses
                raise _failed(f"{_describe(error)} for url ({_shown(request.url)})") from error
            following = response.next_request
            if params.redirect_policy == "stop" or following is None:
                return Response(response)
            await response.aclose()
            if following.url.scheme not in ("http", "https"):
                raise _failed(f"redirect target uses unsupported URL scheme: {following.url.scheme}")
            request = _with_cookies_of(request, following)
        raise Fault(INTERNAL_ERROR, "http/request failed: too many redirects", "tooManyRedirects")

    async def aclose(self) -> None:
        """Close every connection. Bounded in time."""
        with trio.move_on_after(CLOSE_SECONDS, shield=True):
            await self._client.aclose()


class Response:
    """A response whose head has come. To be closed, whatever happens."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code

    @property
    def headers(self) -> list[Header]:
        """The headers in order, repeated ones repeated, names in lower case. What is not UTF-8 is Latin-1."""
        return [Header(_text(name.lower()), _text(value)) for name, value in self._response.headers.raw]

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """Give the body as it comes, as it was sent. A `Fault` says why there is no more of it."""
        raw = self._response.aiter_raw()
        try:
            async for block in raw:
                yield block
        except httpx.HTTPError as error:
            problem = f"failed to read http/request response body: {_describe(error)}"
            raise Fault(INTERNAL_ERROR, problem, "httpError") from error
        finally:
            # Left early, the generators inside httpx are left where they stand, for the garbage collector to find:
            # none closes the next. A cancelled read ends them all, from the inmost outwards.
            with trio.CancelScope() as scope:
                scope.cancel()
                async for _ in raw:
                    pass

    async def aclose(self) -> None:
        """Give the connection back, or up. Bounded in time."""
        with trio.move_on_after(CLOSE_SECONDS, shield=True):
            await self._response.aclose()


def _failed(problem: str) -> Fault:
    return Fault(INTERNAL_ERROR, f"http/request failed: {problem}", "httpError")


def _describe(error: Exception) -> str:
    """Say what went wrong, in the words of the first cause that has any: some of httpx's errors have none."""
    cause: BaseException | None = error
    while cause is not None and not str(cause):
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__ if cause is None else str(cause)


def _request(params: RequestParams) -> httpx.Request:
    if not _TOKEN.fullmatch(params.method):
        raise _invalid("method is invalid: invalid HTTP method")
    headers = [_header(header) for header in params.headers]
    size = str(len(params.body_base64 or b"")).encode()
    for value in (value for name, value in headers if name.lower() == b"content-length"):
        if value != size:
            raise _invalid(f"header content-length is {value.decode()}, but the body has {size.decode()} bytes")
    if not any(name.lower() == b"accept" for name, _ in headers):
        headers.append((b"accept", b"*/*"))
    return httpx.Request(params.method, _url(params.url), headers=headers, content=params.body_base64)


def _url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
        host = url.host  # decoded here, and may be no name in any language
    except (httpx.InvalidURL, ValueError) as error:
        raise _invalid(f"url is invalid: {error}") from error
    if not url.scheme:
        raise _invalid("url is invalid: relative URL without a base")
    if url.scheme not in ("http", "https"):
        raise _invalid(f"only supports http and https URLs, got {url.scheme}")
    if not host:
        raise _invalid("url is invalid: empty host")
    return url


def _header(header: Header) -> tuple[bytes, bytes]:
    if not _TOKEN.fullmatch(header.name):
        raise _invalid("header name is invalid: invalid HTTP header name")
    if _CONTROL.search(header.value):
        # A line break here would smuggle in another header, or another request.
        raise _invalid(f"header value is invalid for {header.name}: failed to parse header value")
    return header.name.encode(), header.value.strip(" \t").encode()


def _invalid(problem: str) -> Fault:
    return Fault(INVALID_PARAMS, f"http/request {problem}", "invalidArgument")


def _with_cookies_of(request: httpx.Request, following: httpx.Request) -> httpx.Request:
    """Let a ``cookie`` header follow to the same origin. httpx drops it: it would take it from its own jar."""
    here, there = request.url, following.url
    if (here.scheme, here.host, here.port) == (there.scheme, there.host, there.port) and "cookie" in request.headers:
        following.headers["cookie"] = request.headers["cookie"]
    return following


def _shown(url: httpx.URL) -> str:
    return str(url.copy_with(username=None, password=None))


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
