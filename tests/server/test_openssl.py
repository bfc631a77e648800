"""The base64 of OpenSSL is that of everyone, and as strict, or is not there."""

import _hashlib
import base64
import string
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from execserver.server import openssl

HAS_OPENSSL = hasattr(_hashlib, "__file__")
# What the function takes for granted or for blanks, and what has no place in base64 at all.
ODD = b"=-+/ \t\r\n\v\0A\xc3\xff"


def test_it_is_called_where_the_hashes_of_python_are_linked_with_it() -> None:
    assert openssl.encode_between(b"<", b"data", b">") == (b"<ZGF0YQ==>" if HAS_OPENSSL else None)
    assert openssl.decode_slice(b"<ZGF0YQ==>", 1, 9) == (b"data" if HAS_OPENSSL else None)


def test_a_python_without_openssl_has_none_to_be_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "_hashlib", None)  # the import system's word for "not there"
    openssl._find.cache_clear()
    try:
        assert openssl.encode_between(b"head", b"data", b"tail") is None
        assert openssl.decode_slice(b"ZGF0YQ==", 0, 8) is None
    finally:
        openssl._find.cache_clear()


def test_a_library_without_the_function_has_none_to_be_called() -> None:
    assert openssl._find("EVP_NoSuchFunction") is None


@given(st.binary(min_size=1, max_size=100), st.binary(max_size=5), st.binary(max_size=5))
def test_what_is_flawless_is_decoded_whatever_stands_around_it(data: bytes, head: bytes, tail: bytes) -> None:
    text = base64.b64encode(data)
    decoded = openssl.decode_slice(head + text + tail, len(head), len(head) + len(text))
    assert decoded == (data if HAS_OPENSSL else None)


@given(
    st.text(string.ascii_letters + string.digits + "+/", max_size=12),
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from(ODD)), max_size=4),
)
def test_what_is_decoded_is_what_the_ordinary_way_makes_of_it(text: str, odd: list[tuple[int, int]]) -> None:
    line = bytearray(text.encode())
    for place, byte in odd:
        line.insert(place, byte)
    decoded = openssl.decode_slice(bytes(line), 0, len(line))
    assert decoded is None or decoded == msgspec.convert(line.decode("ascii"), bytes)


@pytest.mark.parametrize(
    "flawed",
    [
        b"",
        b"Z",
        b"ZGF",
        b"Z===",
        b"====",
        b"ZG=F",
        b"Z=GF",
        b"ZGF0\n\n\n\n",
        b"    ZGF0",
        b"ZGF0----",
        b"ZG F",
        b"ZGF\xff",
    ],
)
def test_what_is_flawed_or_empty_is_not_decoded(flawed: bytes) -> None:
    assert openssl.decode_slice(flawed, 0, len(flawed)) is None
