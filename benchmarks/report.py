"""Figures -> rows with ratios and verdicts, as Markdown and as JSON. No measuring."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from benchmarks.driver import Metrics
from benchmarks.machine import Machine, describe
from benchmarks.table import ROWS, START_AT_MOST, Row

Samples = Mapping[str, Mapping[str, Sequence[Metrics]]]
"""For each run, for each contender, what each repetition gave."""


Range = tuple[float, float]
"""The lowest and the highest ratio of the rounds, each of which has all servers one after the other."""


@dataclass
class Figures:
    """One row, measured: medians of the rounds. Absent figures are None.

    Ratios of medians say how many times better than the reference, whatever the unit.
    """

    title: str
    unit: str
    reference: float | None = None
    limit: float | None = None
    limit_ratio: float | None = None
    ours: float | None = None
    ratio: float | None = None
    spread: Range | None = None
    fast: float | None = None
    fast_ratio: float | None = None
    fast_spread: Range | None = None
    to_reach: str = ""
    short: bool = False
    out_of_reach: bool = False  # on this machine the minimal C server falls short as well


def figures(samples: Samples) -> list[Figures]:
    """All rows that these samples say something about."""
    return [_figures(row, samples[row.run]) for row in ROWS if "ours" in samples.get(row.run, {})]


def _figures(row: Row, by_contender: Mapping[str, Sequence[Metrics]]) -> Figures:
    result = Figures(row.title, row.unit)
    rounds = {
        contender: [one[row.metric] / (one[row.base] if row.base else row.divide) for one in measured]
        for contender, measured in by_contender.items()
        if contender != "imports"
    }
    for contender, values in rounds.items():
        setattr(result, contender, median(values))
    if row.at_most is not None:
        result.to_reach = f"≤ {row.at_most:g}"
        result.short = result.ours is None or result.ours > row.at_most
        return result
    result.limit_ratio, _ = _ratio(row, rounds, "limit")
    result.ratio, result.spread = _ratio(row, rounds, "ours")
    result.fast_ratio, result.fast_spread = _ratio(row, rounds, "fast")
    if row.run == "start":
        _judge_start(result, rounds["ours"], [one["ms"] for one in by_contender.get("imports", ())])
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


def _judge_start(result: Figures, ours: Sequence[float], imports: Sequence[float]) -> None:
    """An interpreter cannot start as fast as Rust: the measure is the imports that nobody can do without."""
    if not imports:
        return
    base = median(imports)
    times = median(ours) / base
    spread = _spread([one / other for one, other in zip(ours, imports, strict=False)])
    result.to_reach = f"≤ {START_AT_MOST} x the imports alone ({base:.0f} ms): {times:.2f}{_between(spread)}"
    result.short = times > START_AT_MOST


def _ratio(row: Row, rounds: Mapping[str, Sequence[float]], contender: str) -> tuple[float | None, Range | None]:
    reference, measured = rounds.get("reference"), rounds.get(contender)
    if not reference or not measured or not median(reference) or not median(measured):
        return None, None
    return (
        _better(row, median(measured), median(reference)),
        _spread([_better(row, one, other) for one, other in zip(measured, reference, strict=False)]),
    )


def _better(row: Row, ours: float, reference: float) -> float:
    return ours / reference if row.better == "more" else reference / ours


def _spread(ratios: Sequence[float]) -> Range | None:
    return (min(ratios), max(ratios)) if len(ratios) > 1 else None


def number(value: float | None, unit: str = "") -> str:
    """Three digits, or all before the point; nothing for what was not measured."""
    if value is None:
        return ""
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{digits} {unit}".strip()


def _between(spread: Range | None) -> str:
    return f" ({number(spread[0])} to {number(spread[1])})" if spread else ""


def account(command: str, facts: Machine, rows: Sequence[Figures]) -> str:
    """The whole account of a run: what was measured where, the rows, and which of them are short."""
    short = ", ".join(row.title for row in rows if row.short)
    verdict = f"Short of what is to be reached: {short}." if short else "No row is short of what is to be reached."
    return f"{describe(command, facts)}\n\n{markdown(rows)}\n\n{verdict}"


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
            number(row.ratio) + _between(row.spread),
            number(row.fast),
            number(row.fast_ratio) + _between(row.fast_spread),
            row.to_reach,
            ("**short**, and so is C" if row.out_of_reach else "**short**") if row.short else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def as_json(rows: Sequence[Figures]) -> list[dict[str, object]]:
    """The same for programs."""
    return [asdict(row) for row in rows]
