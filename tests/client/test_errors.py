"""What every error of the clients can do."""

import copy
import pickle

import pytest

from execserver.client.names import (
    ClosedError,
    Disconnected,
    ExecServerError,
    ProcessFailed,
    ProtocolError,
    Result,
    RpcError,
    StartError,
    Unsupported,
)

RESULT = Result(1, None, "exit", b"out", b"", 0.5, timed_out=False, complete=True)
ERRORS = [
    RpcError(-32600, "no", "kind", {"errno": 2}),
    StartError(-32603, "no such program"),
    Disconnected("killed", 3),
    ProtocolError("garbage", 3),
    ClosedError("closed"),
    Unsupported("ping"),
    ProcessFailed(RESULT, ["make"]),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_survives_pickling_and_copying(error: ExecServerError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))
