"""The rows say what the figures say."""

import pytest

from benchmarks.report import figures, markdown
from benchmarks.table import ROWS, RUNS


def test_every_row_is_of_a_run_and_every_run_has_a_row() -> None:
    assert {row.run for row in ROWS} == {run.name for run in RUNS}


def test_more_is_better_or_less_is_and_the_ratio_says_how_many_times() -> None:
    samples = {
        "output": {
            "reference": [{"mb_per_s": 100.0, "cpu_s_per_gib": 8.0}],
            "ours": [{"mb_per_s": 690.0, "cpu_s_per_gib": 1.0}],
        }
    }
    throughput, cpu = figures(samples)
    assert (throughput.ratio, throughput.short) == (6.9, True)
    assert (cpu.ratio, cpu.short) == (8.0, False)


def test_a_figure_is_the_median_of_its_repetitions() -> None:
    samples = {"round trip": {"reference": [{"us": 90.0}], "ours": [{"us": value} for value in (20.0, 60.0, 30.0)]}}
    (row,) = figures(samples)
    assert (row.ours, row.ratio) == (30.0, 3.0)


def test_each_of_the_two_encoders_has_its_own_goal() -> None:
    samples = {
        "eight": {
            "reference": [{"mb_per_s": 100.0}],
            "ours": [{"mb_per_s": 600.0}],
            "fast": [{"mb_per_s": 899.0}],
        }
    }
    (row,) = figures(samples)
    assert row.short
    assert "≥ 6, ≥ 9 with pybase64" in markdown([row])


@pytest.mark.parametrize(
    ("limit", "ours", "verdict"),
    [(0.5, 0.6, "| ≥ 6 | **short** |"), (0.7, 0.9, "| ≥ 6 | **short**, and so is C |"), (0.5, 0.55, "| ≥ 6 |  |")],
)
def test_what_falls_short_is_told_apart_from_what_no_server_reaches_here(
    limit: float, ours: float, verdict: str
) -> None:
    samples = {"spawn": {"reference": [{"ms_1": 3.5}], "limit": [{"ms_1": limit}], "ours": [{"ms_1": ours}]}}
    (row,) = figures(samples)
    assert row.limit_ratio == 3.5 / limit
    assert f"| {limit} ({3.5 / limit:.3g}) | {ours} |" in markdown([row])
    assert markdown([row]).endswith(verdict)


def test_start_is_judged_by_the_imports_that_nobody_can_do_without() -> None:
    samples = {"start": {"reference": [{"ms": 10.0}], "ours": [{"ms": 139.0}], "imports": [{"ms": 100.0}]}}
    (row,) = figures(samples)
    assert (row.ratio, row.short) == (10 / 139, False)


def test_without_the_imports_a_start_is_not_judged() -> None:
    (row,) = figures({"start": {"reference": [{"ms": 10.0}], "ours": [{"ms": 139.0}]}})
    assert (row.to_reach, row.short) == ("", False)


def test_a_failed_reference_leaves_a_row_without_a_ratio() -> None:
    (row,) = figures({"round trip": {"ours": [{"us": 30.0}]}})
    assert (row.ratio, row.short) == (None, False)
