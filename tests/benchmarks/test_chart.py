"""The picture shows what the rows say, and says so in words."""

import pytest

from benchmarks.chart import describe, limits
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


def test_the_axis_holds_every_bar_and_one() -> None:
    assert limits([("slow", 0.065, 0.065)]) == (0.05, 2.2)
    assert limits([("fast", 2.0, 50.0)]) == pytest.approx((0.5, 110.0))
    assert limits([]) == (0.5, 2.2)
