"""The base64 of OpenSSL, which Python brings along for its hashes, for long output and long input.

EVP_EncodeBlock(3) takes 30 us for 64 KiB where msgspec takes 49, and writes into the very line; EVP_DecodeBlock(3)
takes 30 where msgspec takes 42, with a text that has to be made for it. Python has no functions of its own for them, so
they are called by ctypes, in the library that `_hashlib` is linked with. Where Python was built without OpenSSL, or has
it inside of itself, there are none to be called.
"""

import ctypes
from collections.abc import Callable
from functools import cache


def encode_between(head: bytes, data: bytes, tail: bytes) -> bytearray | None:
    """Put ``head``, the base64 of ``data`` and ``tail``, which is not empty, into one buffer; None without OpenSSL."""
    encode_block = _find("EVP_EncodeBlock")
    if encode_block is None:
        return None
    start, end = len(head), len(head) + (len(data) + 2) // 3 * 4
    line = bytearray(end + len(tail))
    line[:start] = head
    encode_block(_address(line, start), data, len(data))
    line[end:] = tail  # also where the NUL is that comes with the base64
    return line


def decode_slice(line: bytes, start: int, end: int) -> bytes | None:
    """Decode ``line[start:end]``, strictly; None where it is empty or flawed, and without OpenSSL.

    The function itself skips blanks around the base64, and takes "=" for an "A" wherever it stands.
    """
    decode_block = _find("EVP_DecodeBlock")
    blocks, rest = divmod(end - start, 4)
    first_pad = line.find(b"=", start, end)
    padding = 0 if first_pad < 0 else end - first_pad
    if decode_block is None or not blocks or rest or padding > 2 or not line.endswith(b"=" * padding, start, end):
        return None
    data = bytearray(3 * blocks)
    source = ctypes.cast(ctypes.c_char_p(line), ctypes.c_void_p).value
    assert source is not None
    size = decode_block(_address(data, 0), source + start, end - start)
    if size != len(data):  # -1 for what is no base64; less where it skipped something, or where a C int is too short
        return None
    return bytes(memoryview(data)[: size - padding])


def _address(buffer: bytearray, offset: int) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer, offset))


@cache
def _find(name: str) -> Callable[[int, int | bytes, int], int] | None:
    """Look for a function when it is needed first: (where to, where from, of how many bytes) -> how many came out."""
    try:
        import _hashlib  # a detail of CPython, and where it is missing a slower base64 is the worst that follows

        function = ctypes.PyDLL(_hashlib.__file__)[name]  # it holds the GIL: nobody has the buffer meanwhile
    except (ImportError, AttributeError, OSError):
        return None
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
    return function
