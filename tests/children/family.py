"""A child subreaper with the family that its arguments name. It tells each member's number, then waits for ever."""

import ctypes
import os
import signal
import sys
import threading
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def tell(name: str) -> None:
    os.write(1, f"{name} {os.getpid()}\n".encode())


def stay(name: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    tell(name)
    while True:
        signal.pause()


def member(name: str) -> None:
    if name == "grandchild" and os.fork():
        stay_quiet()
    if name == "setsid":
        os.setsid()
    if name == "own_group":
        os.setpgid(0, 0)
    if name == "double_fork":
        os.setsid()
        if os.fork():
            os._exit(0)
        while os.getppid() != REAPER:  # until the first of the two has ended
            os.sched_yield()
    if name == "headless":
        threading.Thread(target=headless).start()
        ctypes.CDLL(None).syscall(60 if os.uname().machine == "x86_64" else 93, 0)  # exit(2) of this thread alone
    stay(name)


def stay_quiet() -> None:
    while True:
        signal.pause()


def headless() -> None:
    stat = Path(f"/proc/{os.getpid()}/stat")
    while not stat.read_text().rpartition(")")[2].startswith(" Z"):
        os.sched_yield()
    tell("headless")
    threading.Event().wait()


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    REAPER = os.getpid()
    for name in sys.argv[1:]:
        if os.fork() == 0:
            member(name)
    while True:
        signal.pause()
