"""The base64 of OpenSSL, which Python brings along for its hashes, for long output.

EVP_EncodeBlock(3) takes 30 us for 64 KiB where msgspec takes 49, and writes into the very line. Python has no function
of its own for it, so it is called by ctypes, in the library that `_hashlib` is linked with. Where Python was built
without OpenSSL, or has it inside of itself, there is none to be called.
"""

import ctypes
from collections.abc import Callable
from functools import cache


def encode_between(head: bytes, data: bytes, tail: bytes) -> bytearray | None:
    """Put ``head``, the base64 of ``data`` and ``tail``, which is not empty, into one buffer; None without OpenSSL."""
    encode_block = _find_encode_block()
    if encode_block is None:
        return None
    start, end = len(head), len(head) + (len(data) + 2) // 3 * 4
    line = bytearray(end + len(tail))
    line[:start] = head
    encode_block(ctypes.addressof(ctypes.c_char.from_buffer(line, start)), data, len(data))
    line[end:] = tail  # also where the NUL is that comes with the base64
    return line


@cache
def _find_encode_block() -> Callable[[int, bytes, int], int] | None:
    """Look for it at the first long output: until then nothing needs it."""
    try:
        import _hashlib  # a detail of CPython, and where it is missing a slower base64 is the worst that follows

        function = ctypes.PyDLL(_hashlib.__file__).EVP_EncodeBlock  # it holds the GIL: nobody has `line` meanwhile
    except (ImportError, AttributeError, OSError):
        return None
    function.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    return function
