"""Fixtures: a daemon for each test, and nothing left after it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests import kernel
from tests.daemon.launching import SharedDaemon, launch
from tests.daemon.life import OTHER
from tests.daemon.wire_client import Client


@pytest.fixture(scope="session")
def shared_daemon() -> Iterator[SharedDaemon]:
    """One daemon for the tests that neither end it nor give it options."""
    daemon = SharedDaemon()
    yield daemon
    daemon.retire()


@pytest.fixture(autouse=True)
def _nothing_left(shared_daemon: SharedDaemon) -> Iterator[None]:
    """No process and no descriptor survives a test, however its daemon ended."""
    if not OTHER:
        shared_daemon.ensure()
    with kernel.nothing_left():
        yield


@pytest.fixture
async def client(shared_daemon: SharedDaemon) -> AsyncIterator[Client]:
    """A daemon with the handshake done and nothing in it. Another server has no way to be emptied: it is started."""
    async with launch() if OTHER else shared_daemon.lend() as client:
        yield client


@pytest.fixture
async def stranger() -> AsyncIterator[Client]:
    """A daemon that has not been spoken to."""
    async with launch(handshake=False) as client:
        yield client
