"""Waits for what was written to a child, as a task."""

import trio

from execserver.server.stdin import Delivery
from execserver.wire.process import WriteStatus


async def decided(delivery: Delivery) -> WriteStatus:
    """Return what becomes of it."""
    if delivery.status is None:
        event = trio.Event()
        delivery.when_decided(event.set)
        await event.wait()
    assert delivery.status is not None
    return delivery.status
