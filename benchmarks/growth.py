"""`make growth`: does one thing cost the same, however many there are?

Four questions, one table each: seconds for a gigabyte as the total grows, the cost of a process as more of them are
alive, the cost of the next process in a daemon that has had many, and the bytes of a retained event.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence

from benchmarks.driver import Metrics, Options, measure
from benchmarks.page import PAGE, insert

MB = 1_000_000
GB = 1000 * MB
RETAINED = 16_384  # events of a process at most
SERVE = ["-m", "execserver"]
TENTHS = range(1, 11)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--full", action="store_true", help="up to 100 GB and 100,000 processes: five to ten minutes")
    parser.add_argument("--save", action="store_true", help="write the tables into docs/explanation/performance.md")
    parser.add_argument("--command", type=shlex.split, help="measure this server instead of ours")
    parser.add_argument("--only", choices=[table.__name__.removeprefix("_") for table in TABLES])
    return parser.parse_args()


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"**{title}**\n", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _size(total: int) -> str:
    return f"{total // GB:,} GB" if total >= GB else f"{total // MB:,} MB"


def _output(command: Sequence[str], full: bool) -> str:
    """One daemon for each row; above 1 GB, one process after the other of 1 GB each."""
    rows = []
    for total in (MB, 10 * MB, 100 * MB, GB, 5 * GB, *((20 * GB, 100 * GB) if full else ())):
        rounds = max(1, total // GB)
        options: Options = {"size": total // rounds, "rounds": rounds}
        got = measure("output", options, command, timeout=1200)
        first, last = got["first_s"] * rounds * GB / total, got["last_s"] * rounds * GB / total
        rss = f"{got['first_rss_mb']:.1f}", f"{got['last_rss_mb']:.1f}"
        cpu = got["cpu_s_per_gib"] * GB / 2**30
        rows.append([_size(total), f"{got['s_per_gb']:.2f}", f"{cpu:.2f}", f"{first:.2f}", f"{last:.2f}", *rss])
    head = ["output in all", "s/GB", "server CPU, s/GB", "first process, s/GB", "last, s/GB", "RSS MB, first", "last"]
    return _table("Output", head, rows)


def _alive(command: Sequence[str], full: bool) -> str:
    """Children that only wait, all alive at once."""
    rows = []
    for count in (1, 10, 100, 1000):
        got = measure("crowd", {"children": count, "seconds": 1}, command)
        each = f"{(got['crowd_mb'] - got['idle_mb']) * 1000 / count:.1f}" if count >= 10 else ""
        quiet = f"{got['idle_wakeups']:.0f}"
        rows.append([f"{count:,}", f"{got['start_us']:.0f}", each, f"{got['round_trip_us']:.0f}", quiet])
    head = ["processes alive", "µs a start", "kB a process", "request round trip, µs", "wake-ups in 1 s of silence"]
    return _table("Processes alive", head, rows)


def _sequence(command: Sequence[str], full: bool) -> str:
    """/bin/true, one after the other, in one daemon, which retains what has closed for a second, not for 80."""
    count = 100_000 if full else 20_000
    command = [*command, "--retain-seconds", "1"] if command[1:] == SERVE else command
    got = measure("spawn", {"count": count // 10, "rounds": 10}, command, timeout=1200)
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


def _events(command: Sequence[str], full: bool) -> str:
    """Chunks of 6 bytes in one log, up to the most that are retained."""
    rows = []
    for count in (1_000, 4_000, 16_000, 64_000):
        got = measure("tail", {"count": count, "ids": 0}, command)
        total = got["bytes_per_event"] * (count - 50)  # the first 50 warm up
        rows.append([f"{count:,}", f"{total / min(count, RETAINED):.0f}", f"{total / 1000:,.0f}", f"{got['us']:.1f}"])
    return _table(
        "Events",
        ["events of one process", "bytes of RSS a retained event", "kB in all", "µs to read the last one"],
        rows,
    )


TABLES = (_output, _alive, _sequence, _events)


def main() -> int:
    """Measure and print."""
    options = _arguments()
    command = options.command or [sys.executable, *SERVE]
    texts = []
    for table in TABLES:
        if options.only in (None, table.__name__.removeprefix("_")):
            texts.append(table(command, options.full))
            print(f"{texts[-1]}\n", flush=True)
    if options.save and not options.only:
        insert(PAGE, "growth", "\n\n".join(texts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
