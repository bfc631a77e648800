"""Base64 is the same with the extra `fast` and without it, and as strict."""

import base64
import importlib
import sys
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execserver.wire import base64 as ours


def _without_the_extra() -> ModuleType:
    """Import the module once more, as where pybase64 is not installed, and leave no trace of it."""
    kept = {name: sys.modules[name] for name in ("pybase64", ours.__name__)}
    sys.modules["pybase64"] = None  # type: ignore[assignment]  # the import system's word for "not there"
    del sys.modules[ours.__name__]
    try:
        return importlib.import_module(ours.__name__)
    finally:
        sys.modules.update(kept)


FAST: ModuleType = ours
PLAIN = _without_the_extra()
both = pytest.mark.parametrize("one", [FAST, PLAIN], ids=["fast", "plain"])


def test_both_are_tested() -> None:
    assert (FAST.pybase64 is None, PLAIN.pybase64) == (False, None)


@both
@given(st.binary(max_size=1000))
def test_it_is_standard_base64_padded(one: ModuleType, data: bytes) -> None:
    text = base64.b64encode(data)
    assert one.encode_base64(data) == text
    assert one.encode_text(memoryview(data)) == text.decode()
    assert one.decode_text(text.decode()) == one.decode_text(memoryview(text)) == data


@both
@pytest.mark.parametrize(
    "text", ["Y", "YQ", "YQ=", "YQ===", "=", "Y Q=", "YWJj\n", "YW-_", "YQ==YQ==", "YQ==YWJj", "YWJjé", "YWJj\0"]
)
def test_what_is_no_base64_is_refused(one: ModuleType, text: str) -> None:
    for form in (text, memoryview(text.encode())):
        with pytest.raises(ValueError, match=r".+"):
            one.decode_text(form)
