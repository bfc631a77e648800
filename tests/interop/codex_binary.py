"""The real Codex CLI, installed by npm into a cache, once for each version. Never run from here."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

CURRENT = "0.169.0"
OLDEST = "0.140.0"  # the oldest whose environments.toml names a program: it reads output by process/read only

_INSTALL_SECONDS = 300  # a download of 100 MB, by whatever line there is


def _missing(reason: str) -> NoReturn:
    """Skip, except in CI, where a green run without these tests would be a lie."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def cache() -> Path:
    """Where the versions are kept: EXECSERVER_CACHE, else .cache/codex in the working tree."""
    named = os.environ.get("EXECSERVER_CACHE")
    return Path(named) if named else Path(__file__).parents[2] / ".cache" / "codex"


def _find(place: Path) -> Path | None:
    """The platform's own binary: the script named codex needs node and is a process more."""
    return next(iter(sorted(place.glob("node_modules/@openai/codex-*/vendor/*/bin/codex"))), None)


def codex_binary(version: str = CURRENT) -> Path:
    """The path of that version's binary, installed if need be; skips (in CI: fails) where there is none to be had."""
    place = cache() / version
    place.mkdir(parents=True, exist_ok=True)
    with (cache() / f"{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test runs may share the cache
        found = _find(place)
        if found is None:
            _install(version, place)
            found = _find(place)
    if found is None:
        _missing(f"npm has no binary of @openai/codex@{version} for this platform")
    return found


def _install(version: str, place: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        _missing("npm is not installed, and the Codex CLI comes as an npm package")
    command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(place), f"@openai/codex@{version}"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
    )
    if done.returncode:
        _missing(f"npm could not install @openai/codex@{version}: {done.stderr.strip()[-500:]}")
