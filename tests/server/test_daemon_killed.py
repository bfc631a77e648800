"""SIGKILL of the real daemon: none of its children survives it, nor what fled from their groups."""

import base64
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from execserver.server.descendants import Stat, descendants, send

PROMISE = 2.0  # seconds (wire, section 5)
ROOT = Path(__file__).parents[2]
DEAF = "trap '' TERM HUP INT; "
STAY = "while :; do sleep 1000; done"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what fled is found in /proc")


class Daemon:
    """The daemon behind its pipes, spoken to line by line."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "execserver"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.send(id=0, method="initialize", params={"clientName": "test"})
        self.send(method="initialized")

    def send(self, **message: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def start(self, process_id: str, script: str, **params: object) -> None:
        """Start a shell and wait until its script says ``ready``."""
        self.send(
            id=process_id,
            method="process/start",
            params={"processId": process_id, "argv": ["/bin/sh", "-c", script], **params},
        )
        output = b""
        assert self.process.stdout is not None
        while b"ready" not in output:
            line = json.loads(self.process.stdout.readline())
            assert "error" not in line, line
            if line.get("method") == "process/output" and line["params"]["processId"] == process_id:
                output += base64.b64decode(line["params"]["chunk"])

    def kill_and_see_all_gone(self) -> None:
        """SIGKILL it and see every descendant end in time, the guardian too."""
        ends: dict[int, Stat] = {}
        for stat in descendants(self.process.pid):
            with suppress(ProcessLookupError):  # it has ended since
                ends[os.pidfd_open(stat.pid)] = stat
        try:
            self.process.kill()
            until = time.monotonic() + PROMISE
            waiting = dict(ends)
            while waiting and (ended := select.select(list(waiting), [], [], max(0, until - time.monotonic()))[0]):
                for end in ended:
                    del waiting[end]
            assert list(waiting.values()) == []
            assert len(ends) > 1
        finally:
            for end, stat in ends.items():
                send(stat, signal.SIGKILL)
                os.close(end)
            self.process.communicate()


LIVES: dict[str, tuple[str, dict[str, object]]] = {
    "deaf": (DEAF + "sleep 1000 & echo ready; " + STAY, {}),
    "on a terminal": (DEAF + "sleep 1000 & echo ready; " + STAY, {"tty": True}),
    "job control on a terminal": (
        "set -m; sleep 1000 & (sleep 1000 & sleep 1000) & echo ready; " + STAY,
        {"tty": True},
    ),
    "fed": (DEAF + "echo ready; cat; " + STAY, {"pipeStdin": True}),
    "flooding": (DEAF + "echo ready; exec yes", {}),
    "stopped": (DEAF + "echo ready; kill -STOP $$; " + STAY, {}),
    "gone leader": ("sleep 1000 & echo ready", {}),
    "setsid": ("setsid sleep 1000 >/dev/null 2>&1 & echo ready; " + STAY, {}),
    "double fork": ("(setsid sleep 1000 &); echo ready; " + STAY, {}),
    "double fork with an error output": ("(setsid sleep 1000 >/dev/null &); echo ready; " + STAY, {}),
}


@pytest.mark.parametrize(("script", "params"), LIVES.values(), ids=LIVES)
def test_a_child_of_this_kind_does_not_outlive_the_daemon(script: str, params: dict[str, object]) -> None:
    daemon = Daemon()
    daemon.start("p", script, **params)
    daemon.kill_and_see_all_gone()


def test_all_kinds_at_once_do_not_outlive_the_daemon() -> None:
    daemon = Daemon()
    for name, (script, params) in LIVES.items():
        if name != "flooding":  # nobody reads it here, so the others' answers would wait behind it
            daemon.start(name, script, **params)
    daemon.kill_and_see_all_gone()


def test_children_do_not_outlive_the_daemon_when_the_guardian_was_killed_first() -> None:
    daemon = Daemon()
    daemon.start("first", LIVES["deaf"][0])
    [guardian] = [stat for stat in descendants(daemon.process.pid) if is_guardian(stat.pid)]
    assert send(guardian, signal.SIGKILL)
    until = time.monotonic() + PROMISE
    while not any(is_guardian(stat.pid) and stat != guardian for stat in descendants(daemon.process.pid)):
        assert time.monotonic() < until, "nobody replaced the guardian"
    daemon.kill_and_see_all_gone()


def is_guardian(pid: int) -> bool:
    try:
        return b"execserver-guardian" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False
