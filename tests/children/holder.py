"""Stands for the daemon: starts children under a guardian and waits for its own SIGKILL.

holder.py ROOT ALIVE WHAT [COUNT]: ROOT is where the package is; ALIVE is a descriptor that every child inherits, so
that whoever reads its other end sees when the last of them is gone. Numbers to judge by are told on standard output.
"""

import os
import random
import signal
import subprocess
import sys

sys.path.insert(0, sys.argv[1])

from execserver.server.guardian import Guardian
from execserver.server.ledger import link_of

ALIVE = int(sys.argv[2])
DEAF = "trap '' TERM HUP INT; "
STAY = "while :; do sleep 1000; done"

guardian = Guardian()


def spawn(script: str, *, begin: bool = True, inherit: tuple[int, ...] = (ALIVE,)) -> subprocess.Popen[bytes]:
    """As the daemon does it: intent, spawn, begin."""
    ours, theirs = os.pipe()
    links = link_of(theirs)
    guardian.intend(links)
    process = subprocess.Popen(
        ["/bin/sh", "-c", script], stdout=theirs, start_new_session=True, pass_fds=inherit, stdin=subprocess.DEVNULL
    )
    if begin:
        guardian.begin(links, process.pid)
    os.close(theirs)
    if "echo" in script:
        os.read(ours, 1)
    return process


def tell(*numbers: int) -> None:
    os.write(1, " ".join(map(str, numbers)).encode() + b"\n")


def groups(count: int) -> None:
    """So many deaf groups, and one that the guardian believes to have ended."""
    spared = spawn(DEAF + "echo; " + STAY, inherit=())
    for _ in range(count):
        spawn(DEAF + "sleep 1000 & echo; " + STAY)
    guardian.end(spared.pid)
    tell(guardian.pid, spared.pid)


def intent() -> None:
    """A child that the daemon had no time to name."""
    spawn(DEAF + "echo; " + STAY, begin=False)
    tell(guardian.pid)


def fled() -> None:
    """Children of children that left the group: by setsid, by job control, by a double fork."""
    spawn("setsid sleep 1000 >/dev/null 2>&1 & echo; " + STAY)
    spawn("set -m; (sleep 1000 & sleep 1000) >/dev/null 2>&1 & echo; " + STAY)
    spawn("(setsid sleep 1000 &); echo; " + STAY)
    spawn("setsid sh -c 'setsid sleep 1000 & setsid sleep 1000' >/dev/null 2>&1 & echo; " + STAY)
    tell(guardian.pid)


def storm() -> None:
    """Begin and end children without a pause."""
    running: list[subprocess.Popen[bytes]] = []
    seed = random.Random(os.getpid())
    tell(0)
    while True:
        running.append(spawn(DEAF + "sleep 1000"))
        if len(running) > 8:
            ended = running.pop(seed.randrange(len(running)))
            os.killpg(ended.pid, signal.SIGKILL)
            ended.wait()
            guardian.end(ended.pid)


if __name__ == "__main__":
    what = {"groups": lambda: groups(int(sys.argv[4])), "intent": intent, "fled": fled, "storm": storm}
    what[sys.argv[3]]()
    while True:
        signal.pause()
