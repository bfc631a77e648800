"""The ledger against a plain dict: what a reader sees after any history is what lives."""

import os

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from execserver.server.ledger import LINE, Ledger, link_of, read_ledger


class History(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.intents: list[str] = []
        self.groups: dict[int, str] = {}
        self.count = 0
        self.most = 0

    @rule()
    def intend(self) -> None:
        self.count += 1
        links = f"pipe:[{self.count}] /dev/pts/{self.count}"
        self.ledger.intend(links)
        self.intents.append(links)

    @rule(which=st.integers(0, 99), fails=st.booleans())
    def settle(self, which: int, fails: bool) -> None:
        if not self.intents:
            return
        links = self.intents.pop(which % len(self.intents))
        if fails:
            self.ledger.failed(links)
        else:
            self.count += 1
            self.ledger.begin(links, self.count)
            self.groups[self.count] = links

    @rule(which=st.integers(0, 99))
    def end(self, which: int) -> None:
        if self.groups:
            pgid = sorted(self.groups)[which % len(self.groups)]
            del self.groups[pgid]
            self.ledger.end(pgid)
            self.ledger.end(pgid)

    @invariant()
    def a_reader_sees_what_lives(self) -> None:
        links = {word for text in [*self.intents, *self.groups.values()] for word in text.split()}
        assert read_ledger(self.ledger.descriptor) == (set(self.groups), links)
        assert len(self.ledger) == len(self.groups) + len(self.intents)
        self.most = max(self.most, len(self.ledger))
        assert os.fstat(self.ledger.descriptor).st_size == self.most * LINE

    def teardown(self) -> None:
        self.ledger.close()


TestHistory = History.TestCase
TestHistory.settings = settings(deadline=None, max_examples=50)


def test_links_too_long_for_a_line_are_cut_and_spoil_no_other() -> None:
    ledger = Ledger()
    ledger.intend("x" * 200)
    ledger.intend("pipe:[1]")
    groups, links = read_ledger(ledger.descriptor)
    assert groups == set()
    assert links == {"x" * (LINE - 3), "pipe:[1]"}
    ledger.close()


def test_a_reader_that_looks_while_nothing_was_written_sees_nothing() -> None:
    ledger = Ledger()
    assert read_ledger(ledger.descriptor) == (set(), set())
    ledger.close()


def test_without_memfd_the_list_is_a_file_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(os.listdir("/proc/self/fd"))
    monkeypatch.delattr(os, "memfd_create", raising=False)
    ledger = Ledger()
    ledger.intend("pipe:[1]")
    ledger.begin("pipe:[1]", 77)
    assert read_ledger(ledger.descriptor) == ({77}, {"pipe:[1]"})
    assert not os.get_inheritable(ledger.descriptor)
    ledger.close()
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_link_is_the_one_that_a_child_shows() -> None:
    for ours, theirs in (os.pipe(), os.openpty()):
        assert link_of(theirs) == os.readlink(f"/proc/self/fd/{theirs}")
        os.close(ours)
        os.close(theirs)


def test_without_proc_links_are_distinct(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: str) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "readlink", missing)
    pair = os.openpty()
    assert len({link_of(descriptor) for descriptor in pair}) == 2
    for descriptor in pair:
        os.close(descriptor)
