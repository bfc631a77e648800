"""The picture shows what the rows say, and says so in words."""

from pathlib import Path

import pytest

from benchmarks.chart import describe, draw
from benchmarks.report import Figures

ROWS = [
    Figures("output, one child", "MB/s", ratio=8.651, fast_ratio=12.44),
    Figures("echo beside one flood, median", "ms", ratio=107.4),
    Figures("pty output", "MB/s", ratio=1.41, fast_ratio=1.38),
    Figures("wake-ups meanwhile", ""),
]
WORDS = "output, one child: 8.65, with pybase64 12.4; echo beside one flood, median: 107; pty output: 1.41"


def test_a_bar_is_described_by_its_ratio_and_by_that_with_pybase64_where_it_is_longer() -> None:
    assert describe(ROWS) == WORDS


def test_the_file_holds_the_description_and_is_the_same_for_the_same_rows(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs what `make bench` draws with")
    once, again = tmp_path / "once.svg", tmp_path / "again.svg"
    draw(ROWS, once)
    draw(ROWS, again)
    assert f"<dc:description>{WORDS}</dc:description>" in once.read_text()
    assert once.read_bytes() == again.read_bytes()
