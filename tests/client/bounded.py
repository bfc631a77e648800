"""A clock over every test that touches something real."""

import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec

import trio

P = ParamSpec("P")


def bounded(test: Callable[P, Awaitable[None]]) -> Callable[P, Awaitable[None]]:
    """Fail a test that takes more than half a minute: all of them take a second or two."""

    @functools.wraps(test)
    async def with_a_clock(*args: P.args, **kwargs: P.kwargs) -> None:
        with trio.fail_after(30):
            await test(*args, **kwargs)

    return with_a_clock
