"""What a run measured, written into the pages that show it: README.md and docs/explanation/performance.md."""

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.driver import ROOT
from benchmarks.report import Figures, number

PAGE = ROOT / "docs" / "explanation" / "performance.md"
README = ROOT / "README.md"
HALTING = "idle cores halt, and only root can keep them awake"  # other figures than those of the pages
SHOWN = (
    ("echo beside one flood, median", "an echo beside a process that floods", "fast", 'ONLY="one flood"'),
    ("server CPU for 1 GiB", "the server's CPU for 1 GiB of output", "little", "ONLY=output"),
    ("output, one child", "output of one child", "fast", "ONLY=output"),
)
"""The rows of the README: title, what it is called there, times as what, and what repeats it."""


def inserted(page: Path, name: str, text: str) -> str:
    """The page with this text between the comments `name` and `end of name`."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before = page.read_text()
    if not (found := re.search(f"{re.escape(begin)}.*?{re.escape(end)}", before, re.DOTALL)):
        raise SystemExit(f"{page.name} has no place for {name}: {begin} ... {end}")
    return f"{before[: found.start()]}{begin}\n\n{text.strip()}\n\n{end}{before[found.end() :]}"


def summary(rows: Sequence[Figures]) -> str:
    """The three ratios of the README, each with the command that repeats it, and what it costs to be an interpreter."""
    by_title = {row.title: row for row in rows}
    lines = ["| | ratio | repeat it |", "|---|---|---|"]
    for title, called, comparison, command in SHOWN:
        row = by_title[title]
        shown = f"{called}, {number(row.ours, row.unit)} against {number(row.reference)}"
        lines.append(f"| {shown} | {number(row.ratio)} times as {comparison} | `make bench {command}` |")
    cpu, output = (number(by_title[title].fast_ratio) for title, *_ in SHOWN[1:])
    start = by_title["start to the initialize answer"]
    times = [number(figure and figure / 1000) for figure in (start.ours, start.reference)]
    return (
        "\n".join(lines)
        + f"""

Without the extra `fast`, in a Python that is linked with OpenSSL, as most are; with it the last two are {cpu} and
{output}. It starts more slowly, as an interpreter does: {times[0]} s, not {times[1]}."""
    )
