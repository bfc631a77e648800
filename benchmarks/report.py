"""Figures -> rows with ratios and verdicts, as Markdown and as JSON. No measuring."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from benchmarks.driver import Metrics
from benchmarks.table import ROWS, START_AT_MOST, Row

Samples = Mapping[str, Mapping[str, Sequence[Metrics]]]
"""For each run, for each contender, what each repetition gave."""


@dataclass
class Figures:
    """One row, measured. Absent figures are None; ratios say how many times better than the reference."""

    title: str
    unit: str
    reference: float | None = None
    limit: float | None = None
    limit_ratio: float | None = None
    ours: float | None = None
    ratio: float | None = None
    fast: float | None = None
    fast_ratio: float | None = None
    to_reach: str = ""
    short: bool = False
    out_of_reach: bool = False  # on this machine the minimal C server falls short as well


def figures(samples: Samples) -> list[Figures]:
    """All rows that these samples say something about."""
    return [_figures(row, samples[row.run]) for row in ROWS if "ours" in samples.get(row.run, {})]


def _figures(row: Row, by_contender: Mapping[str, Sequence[Metrics]]) -> Figures:
    result = Figures(row.title, row.unit)
    for contender in ("reference", "limit", "ours", "fast"):
        if measured := by_contender.get(contender):
            values = [one[row.metric] / (one[row.base] if row.base else row.divide) for one in measured]
            setattr(result, contender, median(values))
    if row.at_most is not None:
        result.to_reach = f"≤ {row.at_most:g}"
        result.short = result.ours is None or result.ours > row.at_most
        return result
    result.limit_ratio = _ratio(row, result.limit, result.reference)
    result.ratio = _ratio(row, result.ours, result.reference)
    result.fast_ratio = _ratio(row, result.fast, result.reference)
    if row.run == "start":
        _judge_start(result, by_contender["imports"])
        return result
    goals = []
    for goal, ratio, suffix in ((row.target, result.ratio, ""), (row.fast_target, result.fast_ratio, " with pybase64")):
        if goal is not None:
            goals.append(f"≥ {goal:g}{suffix}")
            result.short |= ratio is not None and ratio < goal
    result.to_reach = ", ".join(goals)
    if row.target is not None and result.limit_ratio is not None:
        result.out_of_reach = result.limit_ratio < row.target
    return result


def _judge_start(result: Figures, imports: Sequence[Metrics]) -> None:
    """An interpreter cannot start as fast as Rust: the measure is the imports that nobody can do without."""
    base = median(one["ms"] for one in imports)
    times = result.ours / base if result.ours else 0.0
    result.to_reach = f"≤ {START_AT_MOST} x the imports alone ({base:.0f} ms): {times:.2f}"
    result.short = times > START_AT_MOST


def _ratio(row: Row, ours: float | None, reference: float | None) -> float | None:
    if not ours or not reference:
        return None
    return ours / reference if row.better == "more" else reference / ours


def number(value: float | None, unit: str = "") -> str:
    """Three digits, or all before the point; nothing for what was not measured."""
    if value is None:
        return ""
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{digits} {unit}".strip()


def markdown(rows: Sequence[Figures]) -> str:
    """The table of the documentation."""
    lines = [
        "| workload | reference | C limit (ratio) | execserver | ratio | with pybase64 | ratio | to reach | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            row.title,
            number(row.reference, row.unit),
            number(row.limit) + (f" ({number(row.limit_ratio)})" if row.limit_ratio else ""),
            number(row.ours),
            number(row.ratio),
            number(row.fast),
            number(row.fast_ratio),
            row.to_reach,
            ("**short**, and so is C" if row.out_of_reach else "**short**") if row.short else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def as_json(rows: Sequence[Figures]) -> list[dict[str, object]]:
    """The same for programs."""
    return [asdict(row) for row in rows]
