"""Base64 is the same with the extra `fast` and without it, and as strict."""

import base64
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execserver.wire import base64 as ours
from tests.support.plain import import_without_fast

FAST: ModuleType = ours
PLAIN = import_without_fast(ours)
both = pytest.mark.parametrize("one", [FAST, PLAIN], ids=["fast", "plain"])


def test_both_are_tested() -> None:
    assert (FAST.encode_fast is None, PLAIN.encode_fast) == (False, None)


@both
@given(st.binary(max_size=1000))
def test_it_is_standard_base64_padded(one: ModuleType, data: bytes) -> None:
    text = base64.b64encode(data)
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
