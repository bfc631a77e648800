"""How a process is brought to its end: SIGTERM, grace, SIGKILL, and then a bounded drain.

One path for all who ask: a client, a timeout, the end of the session. Nothing here waits for the child in a handler:
each step is a timer, a task that exists only while the step is to come, and that ends early when its cause is gone.
"""

import signal
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from execserver.server.child import Child
from execserver.wire.process import ExitReason

GRACE_SECONDS: Final = 2.0  # from SIGTERM to SIGKILL, where the request does not say
LOOK_SECONDS: Final = 0.05  # between looks at a group that is being stopped and whose leader has gone
DRAIN_SECONDS: Final = 2.0  # for what a stopped group left in its pipes; whoever escaped it gets no more


class Ending:
    """The end of one process."""

    def __init__(self, child: Child, nursery: trio.Nursery, cut: Callable[[], None]) -> None:
        """``nursery`` outlives the process: a group may have to be killed after its leader is long gone.

        ``cut`` gives up the streams that are still open.
        """
        self._child = child
        self._nursery = nursery
        self._cut = cut
        self._kill: trio.CancelScope | None = None
        self._drain: trio.CancelScope | None = None
        self._drain_seconds = DRAIN_SECONDS
        self.stop_reason: ExitReason | None = None  # why the process was stopped while its leader still ran
        self.child_ended = trio.Event()
        self.group_is_gone = False
        self.streams_ended = trio.Event()

    def stop(self, reason: ExitReason, grace: float, drain: float = DRAIN_SECONDS) -> None:
        """Stop the group: SIGTERM now, SIGKILL after ``grace`` seconds, at once if 0. Never yields.

        Stopping again can only bring the kill and the end of the drain forward. A group whose leader has gone is
        stopped just the same.
        """
        self._drain_seconds = min(self._drain_seconds, drain)
        if not self.child_ended.is_set() and self.stop_reason is None:
            self.stop_reason = reason
        if self.has_group():
            self._stop_group(grace)
        if self.child_ended.is_set():
            self.bound_drain_of_the_stopped()

    def has_group(self) -> bool:
        """Whether there is anybody left to stop. Where there is not, no kill is waited for any more."""
        if self._child.has_group():
            return True
        self.group_is_gone = True
        return False

    def stop_after(self, seconds: float, reason: ExitReason) -> None:
        """Stop the group at that time, unless the child has ended by then."""
        self._start_timer(seconds, self.child_ended.wait, lambda: self.stop(reason, GRACE_SECONDS))

    def at_hangup(self, seconds: float, act: Callable[[], None]) -> None:
        """Call ``act`` at that time, unless the streams have ended by then."""
        self._start_timer(seconds, self.streams_ended.wait, act)

    def note_child_ended(self) -> None:
        """The child is reaped; its group may live on."""
        self.child_ended.set()
        self.has_group()

    def note_streams_ended(self) -> None:
        """Nothing is left to cut. What remains is the group, which may live for days: its process is let go."""
        self.streams_ended.set()
        self._cut = _cut_nothing

    def bound_drain(self, seconds: float) -> None:
        """Give up at that time what is still open of the streams; a bound can only come nearer."""
        deadline = trio.current_time() + seconds
        if self.streams_ended.is_set():
            return
        if self._drain is None:
            self._drain = self._start_timer(seconds, self.streams_ended.wait, self._cut)
        else:
            self._drain.deadline = min(self._drain.deadline, deadline)

    def bound_drain_of_the_stopped(self) -> None:
        """Give the pipes of a stopped group their time from the exit on, or from the kill that is still to come."""
        to_come = 0.0
        if self._kill is not None and not self.group_is_gone:
            to_come = max(0.0, self._kill.deadline - trio.current_time())
        self.bound_drain(to_come + self._drain_seconds)

    def _stop_group(self, grace: float) -> None:
        if grace <= 0:
            self._kill_group()
        elif self._kill is None:
            self._child.signal_group(signal.SIGTERM)
            self._child.signal_group(signal.SIGCONT)  # a stopped child could not act on it
            self._kill = self._start_timer(grace, self._wait_for_group, self._kill_group)
        else:
            self._kill.deadline = min(self._kill.deadline, trio.current_time() + grace)

    def _kill_group(self) -> None:
        self._child.signal_group(signal.SIGKILL)
        if self._kill is not None:
            self._kill.cancel()
        if self.child_ended.is_set() and self.has_group():
            self._nursery.start_soon(self._kill_stragglers)

    async def _kill_stragglers(self) -> None:
        """Kill again until nobody is left: without its leader a group is found by a scan, and may fork meanwhile."""
        with trio.move_on_after(DRAIN_SECONDS):
            while self.has_group():
                await trio.sleep(LOOK_SECONDS)
                self._child.signal_group(signal.SIGKILL)

    def _start_timer(
        self, seconds: float, unless: Callable[[], Awaitable[None]], act: Callable[[], None]
    ) -> trio.CancelScope:
        scope = trio.CancelScope(deadline=trio.current_time() + seconds)
        self._nursery.start_soon(_run_timer, scope, unless, act)
        return scope

    async def _wait_for_group(self) -> None:
        """Return when the group is empty. Its leader's end is an event; that of the others has to be looked for."""
        await self.child_ended.wait()
        while self.has_group():  # noqa: ASYNC110 - of that the kernel tells nobody but their parents
            await trio.sleep(LOOK_SECONDS)
        self.bound_drain(self._drain_seconds)  # no kill is to come any more, for which it had been lengthened


async def _run_timer(scope: trio.CancelScope, unless: Callable[[], Awaitable[None]], act: Callable[[], None]) -> None:
    with scope:
        await unless()
        return
    act()


def _cut_nothing() -> None: ...
