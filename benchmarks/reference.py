"""The reference server, installed by npm into the cache that the interop tests use too."""

import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.driver import ROOT

VERSION = "0.169.0"

_INSTALL_SECONDS = 300  # a download of 100 MB, by whatever line there is


def reference_command() -> list[str]:
    """The argv of `codex exec-server`; installs it on the first call. EXECSERVER_CACHE names another place."""
    named = os.environ.get("EXECSERVER_CACHE")
    place = (Path(named) if named else ROOT / ".cache" / "codex") / VERSION
    binary = _find(place)
    if binary is None:
        _install(place)
        binary = _find(place)
    if binary is None:
        raise SystemExit(f"npm has no binary of @openai/codex@{VERSION} for this platform")
    return [str(binary), "exec-server", "--listen", "stdio"]


def _find(place: Path) -> Path | None:
    """The platform's own binary: the script named codex needs node and is a process more."""
    return next(iter(sorted(place.glob("node_modules/@openai/codex-*/vendor/*/bin/codex"))), None)


def _install(place: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is not installed, and the reference server comes as an npm package")
    place.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(place), f"@openai/codex@{VERSION}"]
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True, timeout=_INSTALL_SECONDS)
