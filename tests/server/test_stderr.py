"""The daemon's log never waits for its reader, and says what it lost."""

import logging
import os
import select
from collections.abc import Iterator

import pytest

from execserver.server.stderr import StderrHandler


class Log:
    def __init__(self) -> None:
        self.output, self._fd = os.pipe()
        self.handler = StderrHandler(self._fd)

    def say(self, message: str) -> None:
        """Log a message; a call that waited would end no test."""
        self.handler.emit(logging.LogRecord("name", logging.WARNING, "path", 1, message, None, None))

    def read(self) -> str:
        return os.read(self.output, 1 << 20).decode()

    def close(self) -> None:
        os.close(self._fd)


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    yield log
    log.close()
    os.close(log.output)


def test_a_record_is_a_line(log: Log) -> None:
    log.say("one")
    log.say("tw\udcff")
    assert log.read() == "one\ntw?\n"


def test_a_record_that_does_not_fit_whole_is_cut_and_still_ends_its_line(log: Log) -> None:
    log.say("x" * 10_000)
    log.say("next")
    assert log.read() == "x" * (select.PIPE_BUF - 1) + "\nnext\n"


def test_what_nobody_reads_is_dropped_and_counted(log: Log) -> None:
    for _ in range(100):
        log.say("x" * 3000)
    said = log.read()
    kept = said.count("\n")
    assert 0 < kept < 100
    log.say("after")
    log.say("more")
    assert log.read() == f"[{100 - kept} records dropped] after\nmore\n"


def test_a_reader_that_has_gone_is_no_error() -> None:
    log = Log()
    os.close(log.output)
    log.say("one")
    log.close()
