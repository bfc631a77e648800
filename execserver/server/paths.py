"""Paths as they cross the wire: ``file:`` URIs or absolute native paths in, ``file:`` URIs out. No I/O.

A path is handed to the kernel as it was written: ``..`` is not resolved here, because across a symbolic link the
text's answer and the kernel's differ. Only slashes at its end are taken off, as the reference server does: for the
kernel ``link/`` is what the link leads to, and so removing ``link/`` would remove more than ``link``.
"""

import os
from urllib.parse import quote_from_bytes, unquote_to_bytes

from execserver.wire.errors import Fault, invalid_params

# What RFC 3986 allows in a path besides letters, digits and -._~, less ";" for those who split at it.
_UNQUOTED = "/!$&'()*+,:=@"


def parse_path(text: str, member: str) -> str:
    """Make the native absolute path of a ``file:`` URI (RFC 8089) or of an absolute native path.

    Bytes that are not UTF-8 become surrogates (`os.fsdecode`), so that every name can be reached. ``member`` is the
    name of the params' member, for the -32602 that refuses a relative path, another scheme, a foreign host or a NUL.
    """
    path = text if text.startswith("/") else _path_of_uri(text, member)
    if not path.isascii():
        try:
            os.fsencode(path)
        except UnicodeEncodeError:
            raise _refuse(member, text, "a path that can be encoded") from None
    if "\0" in path:
        raise _refuse(member, text, "a path without NUL")
    return path.rstrip("/") or "/"


def to_uri(path: str) -> str:
    """Make the ``file:`` URI of an absolute native path; bytes outside RFC 3986 are percent-encoded."""
    return "file://" + quote_path(path)


def quote_path(path: str) -> str:
    """Percent-encode a path, or a part of one, for a URI."""
    return quote_from_bytes(os.fsencode(path), _UNQUOTED)


def shown(path: str) -> str:
    """Make a path fit for JSON: a lone surrogate cannot be encoded."""
    return os.fsencode(path).decode(errors="replace")


def _path_of_uri(text: str, member: str) -> str:
    scheme, colon, rest = text.partition(":")
    if not colon or scheme.lower() != "file":
        raise _refuse(member, text, "a `file:` URI or an absolute path")
    # Not `urlsplit`: it silently drops tabs and newlines, which are legal in names.
    if rest.startswith("//"):
        host, slash, rest = rest[2:].partition("/")
        if host.lower() not in ("", "localhost"):
            raise _refuse(member, text, "a `file:` URI of this host")
        rest = slash + rest
    if not rest.startswith("/"):
        raise _refuse(member, text, "an absolute path")
    for mark in "?#":
        if mark in rest:
            # Dropping them, as some do, would name another file than the one that was meant.
            raise _refuse(member, text, f"a `file:` URI without {mark!r} (percent-encode it)")
    if "%" not in rest and rest.isascii():  # as nearly always, and each start has one
        return rest
    try:
        return os.fsdecode(unquote_to_bytes(rest))
    except UnicodeEncodeError:
        raise _refuse(member, text, "a path that can be encoded") from None


def _refuse(member: str, text: str, expected: str) -> Fault:
    given = text if len(text) <= 100 else text[:100] + "…"
    return invalid_params(f"$.{member}", f"Expected {expected}, got {given!r}", "invalidArgument")
