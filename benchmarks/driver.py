"""The C driver: one call is one measurement."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILT = ROOT / ".cache" / "bench"  # where the Makefile puts driver, child and limit
ALONE = ("chrt", "--fifo", "10")

Options = dict[str, int | float]
Metrics = dict[str, float]


@contextmanager
def awake_cores() -> Iterator[bool]:
    """Keep idle cores from halting: they poll instead (PM QoS, as cyclictest does). Say whether they do; needs root.

    A halted core of a virtual machine takes 20 to 40 us to wake up, which is not the servers' doing: it happens twice
    for a request and three times for an echo, and hides what they need for them.
    """
    try:
        latency = os.open("/dev/cpu_dma_latency", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        os.write(latency, bytes(4))  # no core may take longer than 0 us to wake up, as long as this is open
        yield _have_idle_states()
    finally:
        os.close(latency)


def _have_idle_states() -> bool:
    try:
        return Path("/sys/devices/system/cpu/cpuidle/current_driver").read_text().strip() != "none"
    except FileNotFoundError:  # a kernel without cpuidle, whose cores halt whatever they are asked
        return False


class Failed(Exception):
    """A server lost, repeated or garbled something, or did not end in time. What it was is the message."""


def measure(
    workload: str, options: Options, command: Sequence[str], *, timeout: int = 300, alone: bool = False
) -> Metrics:
    """Run one workload against one server and return its metrics, by name.

    ``alone`` gives driver, server and children real-time priority, so that nothing else on the machine takes part.
    """
    words = [f"{name}={value}" for name, value in options.items()]
    done = subprocess.run(
        [*(ALONE if alone else ()), str(BUILT / "driver"), workload, *words, "--", *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "DRIVER_TIMEOUT": str(timeout)},
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise Failed(f"{workload}: {lines[-1] if lines else done.returncode}")
    return {name: float(value) for name, value in json.loads(done.stdout).items()}
