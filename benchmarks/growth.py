"""`make growth`: does one thing cost the same, however many there are?

Four questions, one table each: seconds for a gigabyte as the total grows, the cost of a process as more of them are
alive, the cost of the next process in a daemon that has had many, and the bytes of a retained event. What takes less
than a second or two is measured five times, each time in a daemon of its own, and the medians are told.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

from benchmarks.driver import ROOT, Metrics, Options, awake_cores, measure
from benchmarks.machine import Machine, describe, machine
from benchmarks.page import HALTING, PAGE, inserted

MB = 1_000_000
GB = 1000 * MB
RETAINED = 16_384  # events of a process at most
SERVE = ["-m", "execserver"]
TENTHS = range(1, 11)
REPEAT = 5
RESULTS = ROOT / "benchmarks" / "results" / "growth.json"

Measure = Callable[[str, Options], Metrics]
"""Workload and options -> metrics: the driver, or what it said when it was last run."""


class Said(NamedTuple):
    """One call of the driver."""

    workload: str
    options: Options
    metrics: Metrics


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--full", action="store_true", help="up to 100 GB and 100,000 processes: five to ten minutes")
    parser.add_argument("--save", action="store_true", help=f"write into the project: {RESULTS.name} and the page")
    parser.add_argument("--command", type=shlex.split, help="measure this server instead of ours")
    parser.add_argument("--only", choices=[table.__name__.removeprefix("_") for table in TABLES])
    options = parser.parse_args()
    if options.save and (options.only or options.command or not options.full):
        parser.error("--save writes all tables of a full run: only with --full, and not with --only or --command")
    return options


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"**{title}**\n", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _size(total: int) -> str:
    return f"{total // GB:,} GB" if total >= GB else f"{total // MB:,} MB"


def _median(measure: Measure, workload: str, options: Options) -> Metrics:
    rounds = [measure(workload, options) for _ in range(REPEAT)]
    return {name: median(one[name] for one in rounds) for name in rounds[0]}


def _output(measure: Measure, full: bool) -> str:
    """One daemon for each row; above 1 GB, one process after the other of 1 GB each."""
    rows = []
    for total in (MB, 10 * MB, 100 * MB, GB, 5 * GB, *((20 * GB, 100 * GB) if full else ())):
        rounds = max(1, total // GB)
        options: Options = {"size": total // rounds, "rounds": rounds}
        got = _median(measure, "output", options) if total <= GB else measure("output", options)
        first, last = got["first_s"] * rounds * GB / total, got["last_s"] * rounds * GB / total
        rss = f"{got['first_rss_mb']:.1f}", f"{got['last_rss_mb']:.1f}"
        cpu = f"{got['cpu_s_per_gib'] * GB / 2**30:.2f}" if total >= GB else ""  # the kernel counts in ticks of 10 ms
        rows.append([_size(total), f"{got['s_per_gb']:.2f}", cpu, f"{first:.2f}", f"{last:.2f}", *rss])
    head = ["output in all", "s/GB", "server CPU, s/GB", "first process, s/GB", "last, s/GB", "RSS MB, first", "last"]
    return _table("Output", head, rows)


def _alive(measure: Measure, full: bool) -> str:
    """Children that only wait, all alive at once."""
    rows = []
    for count in (1, 10, 100, 1000):
        got = _median(measure, "crowd", {"children": count, "seconds": 1})
        each = f"{(got['crowd_mb'] - got['idle_mb']) * 1000 / count:.1f}" if count >= 10 else ""
        quiet = f"{got['idle_wakeups']:.0f}"
        rows.append([f"{count:,}", f"{got['start_us']:.0f}", each, f"{got['round_trip_us']:.0f}", quiet])
    head = ["processes alive", "µs a start", "kB a process", "request round trip, µs", "wake-ups in 1 s of silence"]
    return _table("Processes alive", head, rows)


def _sequence(measure: Measure, full: bool) -> str:
    """/bin/true, one after the other, in one daemon, which retains what has closed for a second, not for 80."""
    count = 100_000 if full else 20_000
    got = measure("spawn", {"count": count // 10, "rounds": 10})
    rows = [_tenth(got, tenth, count) for tenth in TENTHS]
    head = ["processes so far", "ms from request to closed, median", "processes a second", "server CPU, µs", "RSS, MB"]
    return _table("One process after the other, each retained for 1 s", head, rows)


def _tenth(got: Metrics, tenth: int, count: int) -> list[str]:
    return [
        f"{tenth * count // 10:,}",
        f"{got[f'ms_{tenth}']:.2f}",
        f"{got[f'per_s_{tenth}']:.0f}",
        f"{got[f'cpu_us_{tenth}']:.0f}",
        f"{got[f'rss_mb_{tenth}']:.1f}",
    ]


def _events(measure: Measure, full: bool) -> str:
    """Chunks of 6 bytes in one log, up to the most that are retained."""
    rows = []
    for count in (1_000, 4_000, 16_000, 64_000):
        got = _median(measure, "tail", {"count": count, "ids": 0})
        total = got["bytes_per_event"] * (count - 50)  # the first 50 warm up
        rows.append([f"{count:,}", f"{total / min(count, RETAINED):.0f}", f"{total / 1000:,.0f}", f"{got['us']:.1f}"])
    return _table(
        "Events",
        ["events of one process", "bytes of RSS a retained event", "kB in all", "µs to read the last one"],
        rows,
    )


TABLES = (_output, _alive, _sequence, _events)


def _line(facts: Machine, *, full: bool) -> str:
    return f"{describe('make growth FULL=1' if full else 'make growth', facts).removesuffix('.')}, with pybase64."


def account(facts: Machine, measure: Measure) -> str:
    """What the page says of a full run."""
    tables = [table(measure, True) for table in TABLES]
    return "\n\n".join([_line(facts, full=True), *tables])


def replay(said: Sequence[Said]) -> Measure:
    """What the driver said, once more and in the same order."""
    left = iter(said)

    def again(workload: str, options: Options) -> Metrics:
        one = next(left)
        if (one.workload, one.options) != (workload, options):
            raise ValueError(f"asked for {workload} {options}, but what was saved is {one.workload} {one.options}")
        return one.metrics

    return again


def main() -> int:
    """Measure, print, save."""
    options = _arguments()
    command = options.command or [sys.executable, *SERVE]
    said: list[Said] = []

    def drive(workload: str, how: Options) -> Metrics:
        retain = ["--retain-seconds", "1"] if workload == "spawn" and not options.command else []
        said.append(Said(workload, how, measure(workload, how, [*command, *retain], timeout=1200)))
        return said[-1].metrics

    with awake_cores() as awake:
        facts = machine(awake=awake)
        print(_line(facts, full=options.full))
        if options.save and not awake:
            print(f"{HALTING}: the documentation stays", file=sys.stderr)
        for table in TABLES:
            if options.only in (None, table.__name__.removeprefix("_")):
                print(f"\n{table(drive, options.full)}", flush=True)
    if options.save and awake:
        text = inserted(PAGE, "growth", account(facts, replay(said)))
        RESULTS.write_text(json.dumps({"machine": facts, "said": said}, indent=1) + "\n")
        PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
