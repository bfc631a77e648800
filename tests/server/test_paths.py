"""What is a path on the wire, and what is none."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execserver.server.paths import parse_path, to_uri
from execserver.wire.errors import INVALID_PARAMS, Fault

names = st.binary(min_size=1).filter(lambda name: b"\0" not in name and not name.endswith(b"/"))


@given(names)
def test_every_path_the_kernel_takes_survives_the_round_trip(name: bytes) -> None:
    path = os.fsdecode(b"/" + name)
    uri = to_uri(path)
    assert uri.isascii()
    assert parse_path(uri, "path") == path


@given(names)
def test_an_absolute_native_path_is_taken_as_it_stands(name: bytes) -> None:
    path = os.fsdecode(b"/" + name)
    assert parse_path(path, "path") == path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("file:///a/b", "/a/b"),
        ("file://localhost/a", "/a"),
        ("FILE://LocalHost/a", "/a"),
        ("file:/a", "/a"),
        ("file:///", "/"),
        ("file:///a//", "/a"),
        ("/a/", "/a"),
        ("//", "/"),
        ("file:///a%20b%3Fc%23d", "/a b?c#d"),
        ("file:///a b", "/a b"),
        ("file:///%C3%A9", "/é"),
        ("file:///é", "/é"),
        ("file:///%FF", "/\udcff"),
        ("file:///%zz", "/%zz"),
        ("file:///a\tb\n", "/a\tb\n"),
        ("file:///link/../a", "/link/../a"),
        ("/a?b#c%20", "/a?b#c%20"),
    ],
)
def test_a_uri_names_the_path_that_its_bytes_spell(text: str, path: str) -> None:
    assert parse_path(text, "path") == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "./a",
        "file:",
        "file:a",
        "file://",
        "file://localhost",
        "file://elsewhere/a",
        "file://127.0.0.1/a",
        "http://localhost/a",
        "C:\\a",
        "/a\0",
        "file:///a%00b",
        "file:///a?b",
        "file:///a#b",
        "/\ud800",
        "file:///\ud800",
        "file://" + "x" * 1000 + "/",
    ],
)
def test_what_names_no_path_of_this_host_is_refused_with_the_members_name(text: str) -> None:
    with pytest.raises(Fault) as caught:
        parse_path(text, "sourcePath")
    fault = caught.value
    assert (fault.code, fault.kind) == (INVALID_PARAMS, "invalidArgument")
    assert fault.message.endswith(" - at `$.sourcePath`")
    assert len(fault.message) < 250
    assert fault.message.encode()
