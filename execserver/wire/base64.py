"""The bytes in a member: base64, standard alphabet, padded. Both sides spend most of their time here. No I/O.

With `pybase64` (extra ``fast``), which uses SIMD, where it is installed; else msgspec's, which takes 50 µs to encode
64 KiB where `binascii` takes 68, and 30 µs to decode them where `binascii` takes 100. Without `pybase64` long chunks do
not come here in the server: they are OpenSSL's, where Python has one that can be called (`server/openssl.py`).
"""

from typing import Final

import msgspec

try:
    import pybase64
except ImportError:  # the extra `fast`
    pybase64 = None  # type: ignore[assignment]

HAS_FAST: Final = pybase64 is not None  # without it whoever has much to encode or to decode has other ways
# Gives bytes, without quotes.
encode_fast = None if pybase64 is None else pybase64.b64encode


def encode_text(data: bytes | bytearray | memoryview) -> str:
    """Encode to text."""
    if pybase64 is not None:
        return pybase64.b64encode_as_string(data)
    return str(msgspec.to_builtins(bytes(data)))


def decode_text(text: str | memoryview) -> bytes:
    """Decode text, or the bytes of its characters, strictly. Raises `ValueError`."""
    if pybase64 is not None:
        return pybase64.b64decode(text, validate=True)
    return msgspec.convert(str(text, "ascii") if isinstance(text, memoryview) else text, bytes)  # a ValueError as well
