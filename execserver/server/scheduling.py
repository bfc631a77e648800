"""Asks the scheduler for short slices of time: `sched_setattr(2)` of Linux 6.12 and newer.

The daemon works for others, a bit at a time. When a child has begun or ended it is woken on the core of that child or
of another, and has to wait until that one's slice is over, while the rest of what it serves waits for it. Who asks for
a slice that is shorter than that of the running process may run at once. It gets no more time in all: it comes sooner,
and is interrupted sooner. All the work of one waking up should fit, so the slice is no shorter than it has to be.
"""

import ctypes
import os
import sys
from typing import Final

SLICE_NANOSECONDS: Final = 500_000
_GETATTR_SETATTR = {"x86_64": (315, 314), "aarch64": (275, 274)}  # numbers of the system calls, which glibc has not
_SCHED_OTHER = 0
_RESET_ON_FORK = 1


class Attributes(ctypes.Structure):
    """``struct sched_attr``."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("slice", ctypes.c_uint64),  # ns; 0 before Linux 6.12
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
        ("util_min", ctypes.c_uint32),
        ("util_max", ctypes.c_uint32),
    )


def ask_for_short_slices() -> None:
    """Do so for this thread; children and other threads get the system's own.

    Left as it is: a shorter slice that was given, another policy, and a nice value that is negative, which the kernel
    would not hand on to the children of one whose slice it must not hand on either.
    """
    attributes = read_attributes(0)
    if (
        attributes is not None
        and attributes.slice > SLICE_NANOSECONDS
        and (attributes.policy, attributes.flags) == (_SCHED_OTHER, 0)
        and attributes.nice >= 0
    ):
        attributes.flags = _RESET_ON_FORK
        attributes.slice = SLICE_NANOSECONDS
        _, setattr_number = _GETATTR_SETATTR[os.uname().machine]
        _syscall(setattr_number, 0, attributes, 0)  # refused in a container, perhaps: slower, and just as right


def read_attributes(pid: int) -> Attributes | None:
    """Read those of a process, 0 for this thread; None where there are none to be read."""
    numbers = _GETATTR_SETATTR.get(os.uname().machine)
    if sys.platform != "linux" or numbers is None:
        return None
    attributes = Attributes()
    failed = _syscall(numbers[0], pid, attributes, ctypes.sizeof(attributes), 0)
    return None if failed else attributes


def _syscall(number: int, pid: int, attributes: Attributes, *rest: int) -> int:
    result: int = ctypes.CDLL(None).syscall(ctypes.c_long(number), pid, ctypes.byref(attributes), *rest)
    return result
