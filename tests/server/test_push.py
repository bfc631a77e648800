"""The lines are those that the schema says, with the extra `fast` and without it."""

import json
import random
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execserver.server import openssl, push
from execserver.server.child import CHUNK_BYTES, Ended
from execserver.server.processes import MAX_ID_LENGTH
from execserver.wire.envelope import Notification, encode_line
from execserver.wire.process import ExitReason, Output, Stream
from tests.support.plain import import_without_fast

FAST: ModuleType = push
PLAIN = import_without_fast(push)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def test_both_are_tested() -> None:
    assert (FAST.encode_fast is None, PLAIN.encode_fast) == (False, None)


@pytest.mark.parametrize("one", [FAST, PLAIN], ids=["fast", "plain"])
@given(NAMES, st.integers(1, 2**60), st.sampled_from(["stdout", "stderr", "pty"]), st.binary(max_size=50))
def test_an_output_line_is_what_the_encoder_makes_of_the_schema(
    one: ModuleType, process_id: str, seq: int, stream: Stream, data: bytes
) -> None:
    said = encode_line(Notification("process/output", Output(process_id, seq, stream, data)))
    assert one.Pusher(process_id).output(seq, stream, data) == said


@pytest.mark.parametrize(
    ("one", "has_openssl"), [(FAST, True), (PLAIN, True), (PLAIN, False)], ids=["fast", "openssl", "plain"]
)
@pytest.mark.parametrize("size", [*range(push._LONG_BYTES - 1, push._LONG_BYTES + 4), CHUNK_BYTES - 1, CHUNK_BYTES])
def test_a_long_output_line_is_what_the_encoder_makes_of_the_schema(
    one: ModuleType, size: int, has_openssl: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_openssl:
        monkeypatch.setattr(openssl, "_find", lambda name: None)
    data = random.Random(size).randbytes(size)
    said = encode_line(Notification("process/output", Output("p", 7, "stderr", data)))
    assert one.Pusher("p").output(7, "stderr", data) == said


def test_exited_and_closed_are_notifications_with_every_member() -> None:
    ended = Ended(exit_code=137, signal="SIGKILL", core_dumped=False, user_seconds=0.001, system_seconds=0.002)
    assert json.loads(push.Pusher("p").exited(2, ended, "terminated", 0.0051)) == {
        "jsonrpc": "2.0",
        "method": "process/exited",
        "params": {
            "processId": "p",
            "seq": 2,
            "exitCode": 137,
            "sandboxDenied": False,
            "signal": "SIGKILL",
            "coreDumped": False,
            "reason": "terminated",
            "durationMs": 5,
            "usage": {"userMs": 1, "systemMs": 2},
        },
    }
    assert json.loads(push.Pusher("p").closed(3, 10, 0, "endOfFile")) == {
        "jsonrpc": "2.0",
        "method": "process/closed",
        "params": {"processId": "p", "seq": 3, "stdoutBytes": 10, "stderrBytes": 0, "reason": "endOfFile"},
    }


@pytest.mark.parametrize(
    ("signal", "stop_reason", "said"),
    [
        (None, None, "exit"),
        ("SIGSEGV", None, "signal"),
        (None, "timeout", "timeout"),
        ("SIGTERM", "timeout", "timeout"),
    ],
)
def test_why_a_process_ended_is_why_it_was_stopped_or_else_how(
    signal: str | None, stop_reason: ExitReason | None, said: str
) -> None:
    ended = Ended(exit_code=0, signal=signal, core_dumped=False, user_seconds=0, system_seconds=0)
    assert json.loads(push.Pusher("p").exited(1, ended, stop_reason, 0))["params"]["reason"] == said


def test_no_line_is_longer_than_a_mebibyte() -> None:
    longest_name = "\1" * MAX_ID_LENGTH  # six bytes each in JSON
    assert len(push.Pusher(longest_name).output(2**63, "stdout", bytes(CHUNK_BYTES))) < 1024 * 1024
