"""When a daemon is gone: in every order in which its end can be seen."""

from itertools import permutations

import pytest

from execserver.client.core import ClientCore
from execserver.client.daemon import Daemon
from execserver.client.stderr import Stderr

SIGNS = {"input_broken", "output_ended", "exited"}
AWAITED = {"output_ended", "errors_ended", "exited"}
ORDERS = list(permutations(sorted(SIGNS | AWAITED)))


class Core(ClientCore):
    """Counts how often it hears of the end."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def end_of_file(self, reason: str) -> None:
        self.heard.append(reason)
        super().end_of_file(reason)


class Seen:
    """A daemon, and who watches it by hand."""

    def __init__(self) -> None:
        self.core = Core()
        self.timers = 0
        self.stderr = Stderr(forward=False)
        self.daemon = Daemon(self.core, "sh", self.stderr, self.on_sign)

    def on_sign(self) -> None:
        self.timers += 1

    def see(self, fact: str) -> None:
        if fact == "exited":
            self.daemon.exited(3)
        else:
            getattr(self.daemon, fact)()


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
def test_the_first_sign_begins_the_wait_and_the_last_fact_ends_it(order: tuple[str, ...]) -> None:
    seen = Seen()
    for count, fact in enumerate(order, 1):
        seen.see(fact)
        known = set(order[:count])
        assert seen.timers == bool(known & SIGNS)
        assert seen.core.heard == (["sh exited with 3"] if known >= AWAITED else [])


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
def test_what_has_not_come_in_time_is_not_waited_for(order: tuple[str, ...]) -> None:
    for count in range(1, len(order) + 1):
        seen = Seen()
        for fact in order[:count]:
            seen.see(fact)
        if seen.timers:
            seen.daemon.part()
            (reason,) = seen.core.heard
            assert reason == ("sh exited with 3" if "exited" in order[:count] else "sh closed the connection")
        for fact in order[count:]:  # comes late, and changes nothing
            seen.see(fact)
        seen.daemon.part()
        assert len(seen.core.heard) == 1


def test_a_status_that_comes_too_late_for_the_reason_is_known_all_the_same() -> None:
    seen = Seen()
    seen.daemon.output_ended()
    seen.daemon.part()
    assert seen.daemon.status is None
    seen.daemon.exited(0)
    assert seen.daemon.status == 0


@pytest.mark.parametrize(
    ("status", "how"),
    [
        (0, "exited with 0"),
        (127, "exited with 127"),
        (-15, "was killed by SIGTERM"),
        (-40, "was killed by signal 40"),  # a real-time signal without a name
    ],
)
def test_the_reason_says_how_it_ended_and_what_it_said_last(status: int, how: str) -> None:
    seen = Seen()
    seen.daemon.exited(status)
    seen.stderr.add(b"out of ")
    seen.daemon.output_ended()
    seen.stderr.add(b"luck\n")
    seen.daemon.errors_ended()
    assert seen.core.disconnected == f"sh {how}; its stderr ends: out of luck"


def test_a_program_that_closed_the_connection_itself_is_told_so() -> None:
    seen = Seen()
    seen.core.close()
    seen.daemon.exited(0)
    seen.daemon.part()
    assert seen.core.disconnected == "this program closed the connection"
