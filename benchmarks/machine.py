"""What was measured, where: the line above each table."""

import os
import platform
from pathlib import Path

Machine = dict[str, object]


def machine(*, awake: bool, reference: str | None = None) -> Machine:
    """The facts that figures depend on; `reference` is the version of the reference server, where it takes part."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    facts: Machine = {
        "cpu": models[0].partition(":")[2].strip() if models else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "idle_cores": "polling" if awake else "halting",
    }
    return facts if reference is None else {**facts, "reference": reference}


def describe(command: str, facts: Machine) -> str:
    """One line: the command that repeats it, and the machine."""
    reference = f"reference server {facts['reference']}, " if "reference" in facts else ""
    return (
        f"`{command}`: {facts['cores']} cores of {facts['cpu']}, Linux {facts['kernel']}, "
        f"CPython {facts['python']}, {reference}idle cores {facts['idle_cores']}."
    )
