"""The messages and the data of errors."""

import msgspec
import pytest

from execserver.wire.errors import INTERNAL_ERROR, INVALID_PARAMS, Fault, describe_problem, invalid_params
from execserver.wire.process import StartParams


def test_the_data_of_a_fault_has_its_kind_and_the_errno_where_the_kernel_said_one() -> None:
    assert Fault(INTERNAL_ERROR, "no", "ioError").data == {"kind": "ioError"}
    assert Fault(INTERNAL_ERROR, "no", "ioError", errno=5).data == {"kind": "ioError", "errno": 5}


def test_a_fault_of_params_names_the_path_and_what_was_expected() -> None:
    fault = invalid_params("$.argv", "Expected a program")
    assert (fault.code, fault.kind) == (INVALID_PARAMS, "invalidParams")
    assert str(fault) == fault.message == "invalid params: Expected a program - at `$.argv`"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (b"{}", "invalid params: Object missing required field `processId` - at `$.processId`"),
        (b"[]", "invalid params: Expected `object`, got `array` - at `$`"),
        (b'{"processId":1}', "invalid params: Expected `str`, got `int` - at `$.processId`"),
        (
            b'{"processId":"p","argv":[],"size":{"rows":1}}',
            "invalid params: Object missing required field `cols` - at `$.size.cols`",
        ),
    ],
)
def test_a_problem_of_msgspec_is_told_with_its_whole_path(params: bytes, message: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(params, type=StartParams)
    assert describe_problem(str(caught.value)) == message
