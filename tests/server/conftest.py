"""The session over memory, for every test of the server that asks for it."""

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from tests.support.peer import Peer


@pytest.fixture
async def peer(autojump_clock: MockClock, nursery: trio.Nursery) -> AsyncIterator[Peer]:
    """A client that has shaken hands; the session ends with the test, within its 5 s.

    A test names `autojump_clock` too: pytest-trio takes the clock from those that the test itself names.
    """
    peer = Peer()
    nursery.start_soon(peer.serve)
    await peer.shake_hands()
    yield peer
    peer.wire.read(None)
    peer.wire.end_input()
    with trio.fail_after(5):
        await peer.ended.wait()
