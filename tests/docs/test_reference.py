"""The pages of the reference say what the code says: generated ones are up to date, and every number is the code's."""

import importlib.util
import json
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any
from xml.sax.saxutils import escape

import pytest

from benchmarks import chart, growth
from benchmarks.page import summary
from benchmarks.report import account, as_json, figures
from benchmarks.table import ROWS
from execserver.client import asyncio, names, sync, trio

from .pages import PAGES, ROOT, name

_PAGE = ROOT / "docs" / "reference" / "limits.md"
_ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| [^|]* \| `([\w.]+)` \|$", re.MULTILINE)
_UNITS = {"MiB": 1 << 20, "KiB": 1 << 10, "bytes": 1, "characters": 1, "s": 1}

generated = pytest.mark.parametrize("page", ["client", "cli"])


@generated
def test_a_generated_page_is_what_make_docs_would_write(page: str) -> None:
    spec = importlib.util.spec_from_file_location("generate_usage", ROOT / "docs" / "generate_usage.py")
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    render: Callable[[], str] = getattr(generator, page)
    written = (ROOT / "docs" / "reference" / f"{page}.md").read_text()
    # Where a line is broken is argparse's affair, and differs from one Python to the next.
    assert render().split() == written.split(), "run `make docs`"


def test_everything_that_a_client_exports_is_on_its_page() -> None:
    page = (ROOT / "docs" / "reference" / "client.md").read_text()
    shown = set(re.findall(r"^#{2,3} (\w+)$", page, re.MULTILINE)) | {"Event"}
    assert set(names.__all__) <= shown
    for module in (trio, asyncio, sync):
        assert all(hasattr(module, each) for each in [*names.__all__, "connect", "Server", "Process", "Events"]), module


def rows() -> list[tuple[str, str, str]]:
    found = _ROW.findall(_PAGE.read_text())
    assert len(found) > 20
    return found


@pytest.mark.parametrize(("what", "said", "where"), rows())
def test_every_limit_is_the_number_in_the_code(what: str, said: str, where: str) -> None:
    assert value_of(said) == constant(where), what


def value_of(said: str) -> float | tuple[int, ...]:
    if " by " in said:
        return tuple(int(part) for part in said.split(" by "))
    number, _, unit = said.replace(",", "").partition(" ")
    return float(number) * (_UNITS[unit] if unit else 1)


def constant(where: str) -> Any:
    """The value of ``server.log.RETAIN_BYTES``, or of ``server.limits.DEFAULTS.retain_bytes``."""
    parts = where.split(".")
    module = import_module(".".join(["execserver", *parts[:2]]))
    value: Any = module
    for part in parts[2:]:
        value = getattr(value, part)
    return value


def test_every_bound_of_the_server_is_on_the_page() -> None:
    said = {where.rpartition(".")[2] for _, _, where in rows()}
    unsaid = [
        f"{path.stem}: {found}"
        for path in sorted((ROOT / "execserver" / "server").glob("*.py"))
        for found in re.findall(r"^([A-Z]\w*_(?:BYTES|SECONDS))\b.* = ", path.read_text(), re.MULTILINE)
        if found not in said | INNER and constant(f"server.{path.stem}.{found}") > INTERVAL_SECONDS
    ]
    assert not unsaid, "add them to docs/reference/limits.md"


INTERVAL_SECONDS = 0.1  # what is shorter is the time between two looks, and no limit

# What no client can notice: sizes of reads, thresholds of an optimisation.
INNER = {"READ_BYTES", "LARGE_BYTES", "LONG_BYTES"}


def test_the_architecture_names_every_module_and_no_other() -> None:
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text()
    house = page.partition("```text\n")[2].partition("```")[0]
    for package in ("wire", "server", "client", "testing"):
        section = re.search(rf"^  {package}/.*\n((?:    .*\n)*)", house, re.MULTILINE)
        assert section, package
        named = {word for line in section[1].splitlines() for word in re.split(r"\s{2,}", line.strip())[0].split()}
        modules = {path.stem for path in (ROOT / "execserver" / package).glob("*.py")} - {"__init__", "__main__"}
        assert named == modules, package


_PERFORMANCE = ROOT / "docs" / "explanation" / "performance.md"
_RESULTS = ROOT / "benchmarks" / "results"


@pytest.fixture
def report() -> Any:
    """The last complete run."""
    return json.loads((_RESULTS / "latest.json").read_text())


def test_the_figures_of_the_documentation_are_those_of_the_saved_run(report: Any) -> None:
    rows = figures(report["samples"])
    assert [row.title for row in rows] == [row.title for row in ROWS]
    assert json.loads(json.dumps(as_json(rows))) == report["rows"]
    assert report["command"] == "make bench"
    assert account("make bench", report["machine"], rows) in _PERFORMANCE.read_text()
    assert summary(rows) in (ROOT / "README.md").read_text()
    assert escape(chart.describe(rows)) in (ROOT / "docs" / "images" / "ratios.svg").read_text()


def test_no_row_falls_short_without_a_reason(report: Any) -> None:
    section = _PERFORMANCE.read_text().partition("\n## What falls short")[2].partition("\n## ")[0]
    reasons = set(re.findall(r"^\* \*\*(.*?)\*\*:", section, re.MULTILINE))
    assert reasons <= {row.title for row in ROWS}
    assert {row.title for row in figures(report["samples"]) if row.short} <= reasons


def test_the_growth_on_the_page_is_that_of_the_saved_run() -> None:
    grown = json.loads((_RESULTS / "growth.json").read_text())
    said = [growth.Said(*one) for one in grown["said"]]
    assert growth.account(grown["machine"], growth.replay(said)) in _PERFORMANCE.read_text()


def test_there_are_pages() -> None:
    assert {"README.md", "CHANGELOG.md", "docs/tutorial.md"} <= {name(page) for page in PAGES}
