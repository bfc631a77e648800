"""`make bench`: this server and the reference server, A B A B, in one run.

The ratios of medians are what counts: absolute figures drift on a shared machine, and interleaving gives both servers
the same drift. What comes and goes within seconds it does not even out, so the rounds' own ratios are told too.
"""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from benchmarks.chart import draw
from benchmarks.driver import BUILT, ROOT, Failed, Metrics, awake_cores, measure
from benchmarks.machine import machine
from benchmarks.page import HALTING, PAGE, README, inserted, summary
from benchmarks.reference import VERSION, reference_command
from benchmarks.report import Figures, account, as_json, figures, markdown
from benchmarks.table import RUNS, Run

RESULTS = ROOT / "benchmarks" / "results" / "latest.json"
CHART = ROOT / "docs" / "images" / "ratios.svg"
LAST, LAST_CHART = BUILT / "ratios.json", BUILT / "ratios.svg"  # of a run that documents nothing
PICTURE = "![How many times better than the reference server, for each workload](../images/ratios.svg)"
PLAIN = BUILT / "plain" / "bin" / "python"  # an environment without pybase64
IMPORTS = "import trio, msgspec"  # what no start can do without


def _names(text: str) -> list[str]:
    known = [run.name for run in RUNS]
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"no run is called {name!r}: there are {', '.join(known)}")
    return names


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, two repetitions: under two minutes")
    parser.add_argument("--only", metavar="NAMES", type=_names, help="only these runs, separated by commas")
    parser.add_argument("--repeat", type=int, help="repetitions of each run")
    parser.add_argument("--plain", default=str(PLAIN), help="interpreter without pybase64")
    parser.add_argument("--fast", default=sys.executable, help="interpreter with pybase64; empty: leave it out")
    parser.add_argument("--command", type=shlex.split, help="measure this server instead of ours")
    parser.add_argument(
        "--alone", action="store_true", help="real-time priority (root): for a machine that is busy with something else"
    )
    parser.add_argument(
        "--halting", action="store_true", help="let idle cores halt, as they do for whoever is not root"
    )
    parser.add_argument("--check", action="store_true", help="exit code 1 when a row falls short")
    parser.add_argument(
        "--save", action="store_true", help=f"write into the project: {RESULTS.name}, the chart, the pages"
    )
    options = parser.parse_args()
    partial = options.only or options.quick or options.repeat or options.command or not options.fast
    if options.save and (partial or options.alone or options.halting):
        parser.error(
            "--save writes a complete run: not with --only, --quick, --repeat, --command, --alone or --halting, "
            "nor without --fast"
        )
    return options


def _contenders(run: Run, options: argparse.Namespace) -> dict[str, list[str]]:
    """Who takes part in a run, in the order of one round."""
    ours = options.command or [options.plain, "-m", "execserver"]
    contenders = {"reference": reference_command(), "ours": ours}
    if run.with_fast and options.fast and not options.command:
        contenders["fast"] = [options.fast, "-m", "execserver"]
    if run.with_limit:
        contenders["limit"] = [str(BUILT / "limit")]
    if run.name == "start":
        contenders["imports"] = [options.plain, "-c", IMPORTS]
    return contenders


def _measure(run: Run, options: argparse.Namespace, failures: list[str]) -> dict[str, list[Metrics]]:
    results: dict[str, list[Metrics]] = {}
    repeat = options.repeat or (run.quick_repeat if options.quick else run.repeat)
    for _ in range(repeat):
        for contender, command in _contenders(run, options).items():
            workload = "exit" if contender == "imports" else run.workload
            try:
                metrics = _measure_once(run, workload, command, options)
            except Failed as failed:
                failures.append(f"{contender}: {run.name}: {failed}")
                continue
            results.setdefault(contender, []).append(metrics)
    return results


def _measure_once(run: Run, workload: str, command: list[str], options: argparse.Namespace) -> Metrics:
    alone = options.alone and not run.by_kernel_thread
    began = time.monotonic()
    try:
        return measure(workload, run.options(options.quick), command, alone=alone)
    finally:
        if alone:
            time.sleep(time.monotonic() - began)  # as long again for whoever had to wait


def _command(options: argparse.Namespace) -> str:
    chosen = {"QUICK": options.quick, "ALONE": options.alone, "HALTING": options.halting}
    only = [f'ONLY="{",".join(options.only)}"'] if options.only else []
    return " ".join(["make bench", *(f"{name}=1" for name, said in chosen.items() if said), *only])


def _write(report: Mapping[str, object], rows: Sequence[Figures], results: Path, chart: Path) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    draw(rows, chart)
    print(f"written: {results.relative_to(ROOT)}, {chart.relative_to(ROOT)}")


def main() -> int:
    """Measure, print, write."""
    options = _arguments()
    names = options.only or [run.name for run in RUNS]
    samples: dict[str, dict[str, list[Metrics]]] = {}
    failures: list[str] = []
    began = time.monotonic()
    with nullcontext(enter_result=False) if options.halting else awake_cores() as awake:
        if options.save and not awake:
            print(f"{HALTING}: the figures go to .cache/bench, the documentation stays", file=sys.stderr)
        for run in RUNS:
            if run.name in names:
                samples[run.name] = _measure(run, options, failures)
                print(f"{time.monotonic() - began:5.0f} s  {run.name}", file=sys.stderr, flush=True)
    rows = figures(samples)
    if failures:
        print(markdown(rows), *(f"failed: {failure}" for failure in failures), "nothing is written", sep="\n")
        return 1
    facts = machine(awake=awake, reference=VERSION)
    report = {"command": _command(options), "machine": facts, "rows": as_json(rows), "samples": samples}
    text = account(_command(options), facts, rows)
    print(text)
    if options.save and awake:
        texts = {
            PAGE: inserted(PAGE, "ratios", f"{PICTURE}\n\n{text}"),
            README: inserted(README, "speed", summary(rows)),
        }
        _write(report, rows, RESULTS, CHART)
        for page, renewed in texts.items():
            page.write_text(renewed)
    else:
        _write(report, rows, LAST, LAST_CHART)
    return 1 if options.check and any(row.short for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
