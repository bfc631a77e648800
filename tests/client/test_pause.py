"""When the reader waits for a consumer, and when it does not."""

from execserver.client.core import ClientCore
from execserver.client.pause import Pause
from execserver.client.source import Source


class Waiting(Source[None]):
    """Something to wait for that is not there yet."""

    def advance(self) -> bool:
        return False


def test_a_pause_that_begins_does_not_wake_itself() -> None:
    core = ClientCore()
    woken: list[str] = []
    with core.parking.park(Pause(core), lambda: woken.append("the pause")):
        assert woken == []  # else an adapter waits in a loop that never ends, and asyncio for ever


def test_whoever_waits_for_something_else_ends_a_pause() -> None:
    core = ClientCore()
    woken: list[str] = []
    with (
        core.parking.park(Pause(core), lambda: woken.append("the pause")),
        core.parking.park(Waiting(), lambda: woken.append("the other")),
    ):
        assert woken == ["the pause"]
