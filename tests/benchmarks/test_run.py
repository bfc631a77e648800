"""What a run writes where, and what is refused; nothing is measured."""

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from benchmarks import page, run
from benchmarks.driver import ROOT, Failed, Metrics
from benchmarks.report import Figures
from benchmarks.table import ROWS, RUNS

METRICS = {name for row in ROWS for name in (row.metric, row.base) if name}
PAGE = "# A page\n\n<!-- {0} -->\nold\n<!-- end of {0} -->\n\nthe rest\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A driver that says 2 to everything, and a project to write into."""

    def measure(*_args: object, **_options: object) -> Metrics:
        return dict.fromkeys(METRICS, 2.0)

    def draw(rows: list[Figures], path: Path) -> None:
        path.write_text(f"{len(rows)} bars")

    monkeypatch.setattr(run, "measure", measure)
    monkeypatch.setattr(run, "draw", draw)
    monkeypatch.setattr(run, "awake_cores", lambda: nullcontext(enter_result=True))
    monkeypatch.setattr(run, "reference_command", lambda: ["reference"])
    monkeypatch.setattr(run, "ROOT", tmp_path)
    for name, file in {
        "RESULTS": "saved.json",
        "CHART": "saved.svg",
        "LAST": "last.json",
        "LAST_CHART": "last.svg",
    }.items():
        monkeypatch.setattr(run, name, tmp_path / file)
    for name, place in {"PAGE": "ratios", "README": "speed"}.items():
        monkeypatch.setattr(run, name, tmp_path / f"{place}.md")
        (tmp_path / f"{place}.md").write_text(PAGE.format(place))
    return tmp_path


def bench(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr(sys, "argv", ["run", *options])
    return run.main()


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_complete_run_renews_results_picture_page_and_readme(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bench(monkeypatch, "--save") == 0
    assert files(folder) == {"saved.json", "saved.svg", "ratios.md", "speed.md"}
    report = json.loads((folder / "saved.json").read_text())
    assert (report["command"], len(report["rows"]), len(report["samples"])) == ("make bench", len(ROWS), len(RUNS))
    text = (folder / "ratios.md").read_text()
    assert text.startswith("# A page\n\n<!-- ratios -->\n\n![")
    assert text.endswith("<!-- end of ratios -->\n\nthe rest\n")
    assert (
        "| request round trip, median | 2 µs | 2 (1) | 2 | 1 (1 to 1) |  |  | ≥ 1.3 | **short**, and so is C |" in text
    )
    assert "Short of what is to be reached: output, one child" in text
    assert "| output of one child, 2 MB/s against 2 | 1 times as fast |" in (folder / "speed.md").read_text()


def test_any_other_run_leaves_its_own_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bench(monkeypatch, "--only", "spawn, echo", "--quick") == 0
    assert files(folder) == {"last.json", "last.svg", "ratios.md", "speed.md"}
    report = json.loads((folder / "last.json").read_text())
    assert (report["command"], set(report["samples"])) == ('make bench QUICK=1 ONLY="spawn,echo"', {"spawn", "echo"})
    assert all(len(rounds) == 2 for rounds in report["samples"]["spawn"].values())
    assert (folder / "ratios.md").read_text() == PAGE.format("ratios")


def test_figures_of_halting_cores_leave_the_documentation_as_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "awake_cores", lambda: nullcontext(enter_result=False))
    assert bench(monkeypatch, "--save") == 0
    assert files(folder) == {"last.json", "last.svg", "ratios.md", "speed.md"}
    said = capsys.readouterr()
    assert said.err.startswith("idle cores halt, and only root can keep them awake: the figures go to")
    assert "idle cores halting." in said.out


def test_idle_cores_may_halt_when_that_is_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bench(monkeypatch, "--halting", "--only", "idle") == 0
    report = json.loads((folder / "last.json").read_text())
    assert (report["command"], report["machine"]["idle_cores"]) == ('make bench HALTING=1 ONLY="idle"', "halting")


def test_with_check_a_row_that_is_short_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert bench(monkeypatch, "--only", "spawn", "--check") == 1
    assert bench(monkeypatch, "--only", "bare", "--check") == 0  # has no mark


def test_a_failed_measurement_writes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_args: object, **_options: object) -> Metrics:
        raise Failed("a byte is lost")

    monkeypatch.setattr(run, "measure", fail)
    assert bench(monkeypatch, "--save") == 1
    said = capsys.readouterr().out
    assert "failed: ours: echo: a byte is lost" in said
    assert "No row is short" not in said
    assert files(folder) == {"ratios.md", "speed.md"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--only", "spawn,spawns"], "no run is called 'spawns': there are output, eight, "),
        (["--save", "--quick"], "--save writes a complete run"),
        (["--save", "--only", "spawn"], "--save writes a complete run"),
        (["--save", "--repeat", "1"], "--save writes a complete run"),
        (["--save", "--command", "cat"], "--save writes a complete run"),
        (["--save", "--alone"], "--save writes a complete run"),
        (["--save", "--halting"], "--save writes a complete run"),
        (["--save", "--fast", ""], "--save writes a complete run"),
    ],
)
def test_what_cannot_be_is_refused(
    options: list[str],
    said: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        bench(monkeypatch, *options)
    assert said in capsys.readouterr().err
    assert files(folder) == {"ratios.md", "speed.md"}


def test_a_page_without_a_place_is_told_by_its_name(folder: Path) -> None:
    with pytest.raises(SystemExit, match=r"ratios\.md has no place for growth"):
        page.inserted(folder / "ratios.md", "growth", "text")


def test_nothing_is_renewed_where_one_page_has_no_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "speed.md").write_text("no comments")
    with pytest.raises(SystemExit, match=r"speed\.md has no place for speed"):
        bench(monkeypatch, "--save")
    assert files(folder) == {"ratios.md", "speed.md"}
    assert (folder / "ratios.md").read_text() == PAGE.format("ratios")


@pytest.mark.parametrize(
    ("goal", "saves"),
    [
        (["bench"], True),
        (["bench", "ALONE=1"], False),
        (["bench", "QUICK=1"], False),
        (["bench", "ONLY=echo"], False),
        (["bench", "HALTING=1"], False),
        (["growth"], False),
        (["growth", "FULL=1"], True),
    ],
)
def test_make_lets_only_a_complete_run_renew_the_documentation(goal: list[str], saves: bool) -> None:
    alone = {"PATH": os.environ["PATH"]}  # or what this was called with would be passed on
    done = subprocess.run(["make", "-n", *goal], cwd=ROOT, env=alone, capture_output=True, text=True, check=True)
    assert ("--save" in done.stdout) == saves
