"""What is measured, and what is to be reached: the rows of the table, and the runs that give their figures."""

from dataclasses import dataclass, field
from typing import Literal

from benchmarks.driver import Options

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True)
class Run:
    """One workload of the driver. `quick` replaces options of `full`."""

    name: str
    workload: str
    full: Options = field(default_factory=dict)
    quick: Options = field(default_factory=dict)
    repeat: int = 3
    quick_repeat: int = 2
    with_fast: bool = False  # bytes move: measured with and without pybase64
    with_limit: bool = False  # the minimal C server can do it
    by_kernel_thread: bool = False  # which must not starve: never with real-time priority

    def options(self, quick: bool) -> Options:
        """The options of the driver."""
        return {**self.full, **self.quick} if quick else self.full


@dataclass(frozen=True)
class Row:
    """One figure of one run. The ratio says how many times better than the reference it is, whatever the unit."""

    title: str
    run: str
    metric: str
    unit: str
    better: Literal["more", "less"]
    target: float | None = None  # the ratio to reach
    fast_target: float | None = None  # the same with pybase64
    at_most: float | None = None  # no ratio: our own figure may not be above it
    divide: float = 1.0
    base: str | None = None  # our own figure is divided by this one, a metric of the same run


RUNS = (
    Run("output", "output", {"size": GIB}, {"size": 256 * MIB}, with_fast=True, with_limit=True),
    Run("eight", "output", {"size": GIB, "children": 8}, {"size": 128 * MIB}, with_fast=True, with_limit=True),
    Run("verified", "output", {"size": 256 * MIB, "children": 4, "verify": 1}, {"size": 64 * MIB}, with_fast=True),
    Run(
        "pty",
        "output",
        {"size": 128 * MIB, "tty": 1},
        {"size": 32 * MIB},
        with_fast=True,
        with_limit=True,
        by_kernel_thread=True,
    ),
    Run("lines", "lines", {"count": 4_000_000}, {"count": 1_000_000}, with_limit=True),
    Run("stdin", "stdin", {"size": 512 * MIB}, {"size": 96 * MIB}, with_fast=True, with_limit=True),
    Run("echo", "echo", {"size": 256 * MIB}, {"size": 64 * MIB}, with_fast=True),
    Run("idle", "latency", {"count": 5000}, {"count": 2000}, repeat=7, with_limit=True),
    Run("one flood", "latency", {"children": 1, "seconds": 8, "count": 20_000}, {"seconds": 1.5}, repeat=5),
    Run("eight floods", "latency", {"children": 8, "seconds": 8, "count": 20_000}, {"seconds": 1.5}, repeat=5),
    Run("spawn", "spawn", {"count": 250}, {"count": 150}, repeat=7, with_limit=True),
    Run("spawn 32", "spawn", {"count": 1000, "children": 32}, {"count": 400}, repeat=7, with_limit=True),
    Run("bare", "spawn", {"count": 250, "bare": 1}, {"count": 100}, repeat=7, with_limit=True),
    Run("bare 32", "spawn", {"count": 1000, "children": 32, "bare": 1}, {"count": 200}, repeat=7, with_limit=True),
    Run("round trip", "round-trip", {"count": 20_000}, {"count": 5000}, repeat=5, with_limit=True),
    Run("pipelined", "pipelined", {"count": 100_000}, {"count": 20_000}, with_limit=True),
    Run("tail", "tail", {"count": 10_000}, {"count": 2000}, repeat=5),
    Run("crowd", "crowd", {"children": 500, "seconds": 1}, quick_repeat=1),
    Run("hundred", "crowd", {"children": 100, "seconds": 5}, {"seconds": 2}, quick_repeat=1),
    Run("stalled", "stalled", {"size": 512 * MIB, "seconds": 4}, {"size": 128 * MIB, "seconds": 2}, quick_repeat=1),
    Run("start", "start", {"count": 10}, {"count": 5}, repeat=9),
)

ROWS = (
    Row("output, one child", "output", "mb_per_s", "MB/s", "more", 7, 10),
    Row("output, eight children", "eight", "mb_per_s", "MB/s", "more", 6, 9),
    Row("output, four children, content verified", "verified", "mb_per_s", "MB/s", "more"),
    Row("server CPU for 1 GiB", "output", "cpu_s_per_gib", "s", "less", 7),
    Row("echo through a child, idle, median", "idle", "us", "µs", "less", 2.5),
    Row("echo beside one flood, median", "one flood", "us", "ms", "less", 50, divide=1000),
    Row("echo beside one flood, p99", "one flood", "p99_us", "ms", "less", 50, divide=1000),
    Row("echo beside eight floods, median", "eight floods", "us", "ms", "less", 50, divide=1000),
    Row("echo beside eight floods, p99", "eight floods", "p99_us", "ms", "less", 50, divide=1000),
    Row("spawn of /bin/true to closed, median", "spawn", "ms_1", "ms", "less", 6),
    Row("spawns a second, 32 in flight", "spawn 32", "per_s_1", "/s", "more", 8),
    Row("spawn of a program without libc, median", "bare", "ms_1", "ms", "less"),
    Row("the same a second, 32 in flight", "bare 32", "per_s_1", "/s", "more"),
    Row("request round trip, median", "round trip", "us", "µs", "less", 1.3),
    Row("pipelined requests a second", "pipelined", "per_s", "/s", "more", 3.5),
    Row("process/write into a child that reads", "stdin", "mb_per_s", "MB/s", "more", 2),
    Row("echo through cat", "echo", "mb_per_s", "MB/s", "more", 3),
    Row("pty output", "pty", "mb_per_s", "MB/s", "more", 1.25),
    Row("lines a second, one write(2) each", "lines", "lines_per_s", "M/s", "more", 1.1, divide=1e6),
    Row("process/read at the tail of a long log", "tail", "us", "µs", "less", 3),
    Row("the same, long log to short log", "tail", "us", "", "less", at_most=1.5, base="short_us"),
    Row("RSS idle", "crowd", "idle_mb", "MB", "less", 1.2),
    Row("RSS with 500 children", "crowd", "crowd_mb", "MB", "less", 1.7),
    Row("peak RSS, client stalled while children flood", "stalled", "peak_mb", "MB", "less", 1.3),
    Row("growth of RSS meanwhile", "stalled", "growth_mb", "MB", "less", at_most=1),
    Row("idle CPU with 100 children", "hundred", "idle_cpu_s", "s", "less", at_most=0),
    Row("wake-ups meanwhile", "hundred", "idle_wakeups", "", "less", at_most=0),
    Row("start to the initialize answer", "start", "ms", "ms", "less"),
)
START_AT_MOST = 1.4  # times `python -c "import trio, msgspec"` in the same interpreter
