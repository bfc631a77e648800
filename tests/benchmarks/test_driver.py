"""The driver measures what is right, and calls what is wrong by its name: a wrong figure is worse than none."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.driver import BUILT, ROOT, Options, awake_cores
from benchmarks.table import RUNS, Run

LIAR = str(Path(__file__).with_name("lying_server.py"))
FLAWS = {
    "a byte is missing": "98303 bytes of 98304\n",
    "a byte is another": "the content is not what the child wrote\n",
    "chunks are swapped": "the content is not what the child wrote\n",
    "no base64": "no base64: {",
    "base64 is cut short": "no base64: {",
    "a number is repeated": "output out of order: {",
    "a number is left out": "out of time\n",  # other servers send events in any order: it may still come
    "the exit code is another": "p1 ended with exit code 7\n",
    "it goes away": "the server is gone\n",
}
"""What is wrong, and what the driver says of it: all of it, or all but the message that is to blame."""

WAITING = (["echo", "size=131072"], ["latency", "count=2"], ["tail", "count=3"], ["crowd", "children=2", "seconds=0"])
"""Workloads whose children do not end by themselves."""

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None or shutil.which("make") is None, reason="needs gcc, make")


@pytest.fixture(scope="module")
def driver() -> str:
    built = [BUILT / name for name in ("driver", "child", "nothing", "limit")]
    subprocess.run(["make", "--silent", *(path.relative_to(ROOT) for path in built)], cwd=ROOT, check=True, timeout=60)
    return str(built[0])


def drive(driver: str, workload: list[str], server: list[str], seconds: int = 30) -> subprocess.CompletedProcess[str]:
    command = [driver, *workload, "--", *server]
    environment = {**os.environ, "DRIVER_TIMEOUT": str(seconds)}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds + 10, check=False
    )


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_server_that_is_wrong_gets_no_figure(driver: str, flaw: str) -> None:
    done = drive(driver, ["output", "size=98304", "verify=1"], [sys.executable, LIAR, flaw], 5)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"driver: {FLAWS[flaw]}")


def test_the_same_server_gets_one_when_it_is_right(driver: str) -> None:
    done = drive(driver, ["output", "size=98304", "verify=1"], [sys.executable, LIAR, "nothing"])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["mb_per_s"] > 0


@pytest.mark.parametrize("workload", WAITING, ids=" ".join)
def test_a_child_that_would_not_end_by_itself_is_seen_to_end_by_its_signal(driver: str, workload: list[str]) -> None:
    done = drive(driver, workload, [sys.executable, LIAR, "nothing"])
    assert done.returncode == 0, done.stderr
    done = drive(driver, workload, [sys.executable, LIAR, "it ends in another way"])
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "driver: p1 ended with exit code 0\n")


@pytest.mark.parametrize(
    ("workload", "flaw", "message"),
    [
        *((workload, "another byte comes back", "what comes back is not what was sent") for workload in WAITING[:3]),
        (WAITING[0], "writes change places", "what comes back is not what was sent"),
        (WAITING[0], "more comes back", "131073 bytes came back of 131072"),
        (WAITING[1], "more comes back", "73 bytes came back of 72"),
        (WAITING[2], "more comes back", "301 bytes came back of 300"),
    ],
    ids=str,
)
def test_what_comes_back_is_what_was_sent(driver: str, workload: list[str], flaw: str, message: str) -> None:
    done = drive(driver, workload, [sys.executable, LIAR, flaw])
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"driver: {message}\n")


@pytest.mark.parametrize(
    "workload",
    [
        ["start", "count=1"],
        ["round-trip", "count=50"],
        ["pipelined", "count=500"],
        ["output", "size=1000000", "children=3", "verify=1"],
        ["output", "size=300000", "tty=1", "verify=1"],
        ["lines", "count=2000"],
        ["spawn", "count=20", "children=4", "rounds=2"],
        ["spawn", "count=20", "bare=1"],
        ["stdin", "size=1048576"],
        ["echo", "size=1048576"],
        ["latency", "count=20", "children=1"],
        ["tail", "count=100"],
        ["crowd", "children=5", "seconds=0.1"],
        ["stalled", "size=4194304", "seconds=0.2"],
    ],
    ids=" ".join,
)
def test_every_workload_runs_against_our_server(driver: str, workload: list[str]) -> None:
    done = drive(driver, workload, [sys.executable, "-m", "execserver"])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


@pytest.mark.parametrize("run", [run for run in RUNS if run.with_limit], ids=lambda run: run.name)
def test_the_limit_does_all_that_the_table_has_of_it(driver: str, run: Run) -> None:
    little: Options = {"size": 1 << 20, "count": 200, "seconds": 0.2}
    options = {**run.full, **{name: value for name, value in little.items() if name in run.full}}
    workload = [run.workload, *(f"{name}={value}" for name, value in options.items())]
    if run.workload == "output":
        workload.append("verify=1")
    done = drive(driver, workload, [str(BUILT / "limit")])
    assert done.returncode == 0, done.stderr


def test_who_may_not_keep_the_cores_awake_measures_with_halting_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    with awake_cores() as awake:
        assert awake is False


def test_a_kernel_without_idle_states_measures_with_halting_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing(path: Path) -> str:
        raise FileNotFoundError(path)

    latency = os.memfd_create("cpu_dma_latency")
    monkeypatch.setattr(os, "open", lambda *_: latency)
    monkeypatch.setattr(Path, "read_text", find_nothing)
    with awake_cores() as awake:
        assert awake is False


@pytest.mark.skipif(not os.access("/dev/cpu_dma_latency", os.W_OK), reason="needs root")
def test_no_core_is_kept_awake_afterwards() -> None:
    def requests() -> int:
        return sum(
            os.readlink(link) == "/dev/cpu_dma_latency" for link in Path("/proc/self/fd").iterdir() if link.exists()
        )

    with awake_cores():
        assert requests() == 1
    assert requests() == 0
