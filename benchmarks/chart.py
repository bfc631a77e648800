"""A picture of the ratios: one bar a workload, log scale."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import Figures, number


def describe(rows: Sequence[Figures]) -> str:
    """What the picture shows, in words. The file holds them: whether it is of these rows is seen without drawing."""
    return "; ".join(
        f"{title}: {number(ratio)}" + (f", with pybase64 {number(best)}" if best > ratio else "")
        for title, ratio, best in _bars(rows)
    )


def _bars(rows: Sequence[Figures]) -> list[tuple[str, float, float]]:
    """For each row that has a ratio its title, the ratio, and the better one of it and that with pybase64."""
    return [(row.title, row.ratio, max(row.ratio, row.fast_ratio or 0.0)) for row in rows if row.ratio is not None]


def limits(bars: Sequence[tuple[str, float, float]]) -> tuple[float, float]:
    """Where the axis begins and ends: with 1 on it, from which all bars go out, and room for the numbers."""
    return min([0.5, *(ratio / 1.3 for _, ratio, _ in bars)]), 2.2 * max([1.0, *(best for _, _, best in bars)])


def draw(rows: Sequence[Figures], path: Path) -> None:
    """Write the SVG; the same figures give the same file."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "execserver", "font.size": 9, "svg.fonttype": "path"})
    from matplotlib import pyplot

    bars = _bars(rows)[::-1]
    figure, axes = pyplot.subplots(figsize=(8, 0.32 * len(bars) + 1.1))
    for at, (_, ratio, best) in enumerate(bars):
        if best > ratio:
            axes.barh(at, best - 1, left=1, color="#a8c8ec", height=0.7)
        axes.barh(at, ratio - 1, left=1, color="#2a6fb8" if ratio >= 1 else "#c9782b", height=0.7)
        axes.text(max(best, 1.0) * 1.06, at, f"{number(best)} x", va="center")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks(range(len(bars)), [title for title, _, _ in bars])
    axes.set_ylim(-0.6, len(bars) - 0.4)
    left, right = limits(bars)
    axes.set_xlim(left, right)
    axes.set_xticks([tick for tick in (0.05, 0.1, 0.5, 1, 2, 5, 10, 20, 50, 100) if left <= tick <= right])
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_xlabel("times better than the reference server (light: with pybase64)")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None, "Description": describe(rows)}, facecolor="white")
    pyplot.close(figure)
