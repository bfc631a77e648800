"""However Codex ends, or its server: no process is left. The fixture looks for them after every run, in /proc."""

import os
import signal

import pytest

from .beacon import Beacon
from .codex import RUN_SECONDS, Codex, ours_only
from .responses import run

pytestmark = pytest.mark.interop

FOREGROUND = "echo up > ../beacon; exec sleep 300"
STUBBORN = "trap '' TERM INT HUP; echo up > ../beacon; while :; do sleep 1; done"
BACKGROUND = "sleep 300 & (trap '' TERM; sleep 300) & echo up > ../beacon; wait"
ESCAPED = "setsid sleep 300 </dev/null >/dev/null 2>&1 & (setsid sh -c 'sleep 300 & exit') & echo up > ../beacon; wait"


def test_commands_that_still_run_end_with_codex(codex: Codex, beacon: Beacon) -> None:
    done = codex.run([[run(each, yield_time_ms=500) for each in (FOREGROUND, "sleep 300", "cat")]])
    beacon.wait()
    assert done.exit_code == 0
    assert "session ID" in done.outputs[0]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_nothing_is_left_when_codex_is_ended_by_a_signal(codex: Codex, beacon: Beacon, name: str) -> None:
    commands = [run(each, tty=tty) for each in (FOREGROUND, STUBBORN, BACKGROUND) for tty in (False, True)]
    with codex.started([commands]) as started:
        beacon.wait(len(commands))
        started.process.send_signal(signal.Signals[name])
        started.process.wait(RUN_SECONDS)


def test_nothing_is_left_when_control_c_reaches_codex_and_server_alike(codex: Codex, beacon: Beacon) -> None:
    with codex.started([[run(STUBBORN)]]) as started:
        beacon.wait()
        os.killpg(started.process.pid, signal.SIGINT)
        started.process.wait(RUN_SECONDS)


@ours_only("the reference server loses sight of them")
@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_not_even_what_left_its_session_is_left(codex: Codex, beacon: Beacon, name: str) -> None:
    with codex.started([[run(ESCAPED)]]) as started:
        beacon.wait()
        started.process.send_signal(signal.Signals[name])
        started.process.wait(RUN_SECONDS)


@ours_only("the reference server leaves its children behind")
def test_nothing_is_left_when_the_server_is_killed_and_codex_goes_on(codex: Codex) -> None:
    done = codex.run([[run("(trap '' TERM HUP; exec sleep 300) & kill -KILL $PPID; sleep 300")], [run("echo no")]])
    assert done.exit_code == 0
    assert len(done.outputs) == 2
    assert "no\n" not in done.outputs[1]
