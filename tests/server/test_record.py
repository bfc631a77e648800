"""What is told and kept of a process."""

from typing import Any

import pytest

from execserver.server.child import Ended
from execserver.server.record import Record
from execserver.wire.process import ProcessInfo, StartParams


def record(**params: Any) -> Record:
    asked = StartParams("p", ["make", "-j8"], **params)
    return Record(asked, pid=4321, cwd="/src", started_at_ms=17, retain_bytes=100)


def test_its_state_is_told_from_running_to_closed() -> None:
    it = record(metadata={"by": "test"})
    it.log.append_output("stdout", b"abc")
    info = it.info()
    assert info == ProcessInfo(
        "p", 4321, ["make", "-j8"], "/src", False, "running", 17, None, None, 2, 3, {"by": "test"}
    )
    it.ended = Ended(137, "SIGKILL", False, 0.0, 0.0)
    it.log.append_exited(137)
    info = it.info()
    assert (info.state, info.exit_code, info.signal, info.next_seq) == ("exited", 137, "SIGKILL", 3)
    it.log.append_closed()
    info = it.info()
    assert (info.state, info.exit_code, info.next_seq, info.retained_bytes) == ("closed", 137, 4, 3)


def test_between_its_end_and_the_number_of_its_exit_it_is_exited_already() -> None:
    it = record()
    it.ended = Ended(0, None, False, 0.0, 0.0)
    assert (it.info().state, it.info().exit_code) == ("exited", 0)


@pytest.mark.parametrize(("metadata", "size"), [(None, 0), ({}, 0), ({"a": "b"}, len('{"a":"b"}'))])
def test_what_the_client_sent_is_charged_with_the_output(metadata: Any, size: int) -> None:
    it = record(metadata=metadata)
    it.log.append_output("stderr", b"12345")
    assert it.size == 5 + len(it.process_id) + len("make-j8") + size
