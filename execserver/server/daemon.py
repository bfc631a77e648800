"""The daemon: a process of its own that serves one session on stdin and stdout, and answers for what it started."""

import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

import trio

from execserver.server.descendants import kill_descendants
from execserver.server.family import Family
from execserver.server.guardian import Guardian
from execserver.server.kernel import child_signals, descriptor_limit, prepare_process
from execserver.server.limits import DEFAULTS, Limits
from execserver.server.scheduling import ask_for_short_slices
from execserver.server.serve import Host, serve
from execserver.server.stderr import log_to_stderr
from execserver.server.stdio import StdioWire, take_wire

logger = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 0.5
_ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run_daemon(limits: Limits = DEFAULTS, *, log_level: str = "warning") -> None:
    """Serve on stdin and stdout until the session ends."""
    if not hasattr(os, "pidfd_open"):
        sys.exit("execserver: the daemon needs Linux 5.3 or newer (pidfd_open)")
    prepare_process()
    descriptor_limit.raise_ours()
    ask_for_short_slices()
    log_to_stderr(log_level)
    with take_wire() as wire:
        trio.run(_serve, wire, limits)
        for number in _ENDING:  # a second one, while the interpreter ends, must not change the exit code
            signal.signal(number, signal.SIG_IGN)


async def _serve(wire: StdioWire, limits: Limits) -> None:
    guardian = Guardian()
    family = Family(guardian)
    # Received before the first line is read: who has an answer may send a signal.
    with trio.open_signal_receiver(*_ENDING) as ending_signals, child_signals() as signals:

        async def background(end: Callable[[str], None]) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(family.reap_orphans, signals)
                async for number in ending_signals:
                    end(signal.Signals(number).name)

        async def sweep() -> None:
            await _sweep(guardian)
            guardian.close()
            family.close()

        await serve(wire, Host(family.spawn, family.prepare, background, sweep), limits)


async def _sweep(guardian: Guardian) -> None:
    """Kill the descendants that left their groups, until there is none: a killed one may just have had a child."""
    with trio.move_on_after(SWEEP_SECONDS):
        while found := kill_descendants(os.getpid(), spare={guardian.pid}):
            names = ", ".join(f"{stat.name} ({stat.pid})" for stat in found)
            logger.warning("killed what had left its group: %s", names)
            await trio.sleep(0.01)
