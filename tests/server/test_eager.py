"""Handlers begun inside the reader: done at once, or stepped aside and finished in a task."""

import types
from collections.abc import Callable, Generator

import pytest
import trio

from execserver.server.eager import WAITING, StandingBy, begin, finish, stand_by, step_aside


def test_a_coroutine_that_never_waits_is_done_when_it_is_begun() -> None:
    async def answer() -> int:
        return 7

    assert begin(answer()) == 7


def test_what_a_coroutine_raises_is_raised_where_it_is_begun() -> None:
    async def fail() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        begin(fail())


async def test_what_stepped_aside_goes_on_where_it_stood() -> None:
    done: list[str] = []

    async def handler() -> str:
        done.append("before")
        await step_aside()
        await trio.lowlevel.checkpoint()
        done.append("after")
        return "answer"

    coroutine = handler()
    assert begin(coroutine) is WAITING
    assert done == ["before"]
    assert await finish(coroutine) == "answer"
    assert done == ["before", "after"]


async def test_what_fails_after_stepping_aside_fails_in_its_task() -> None:
    async def handler() -> None:
        await step_aside()
        raise ValueError("late")

    coroutine = handler()
    begin(coroutine)
    with pytest.raises(ValueError, match="late"):
        await finish(coroutine)


async def test_a_coroutine_is_cancelled_with_the_task_that_finishes_it(autojump_clock: trio.testing.MockClock) -> None:
    ended: list[str] = []

    async def handler() -> None:
        await step_aside()
        try:
            await trio.sleep_forever()
        finally:
            ended.append("cancelled")

    coroutine = handler()
    begin(coroutine)
    with trio.move_on_after(5) as scope:
        await finish(coroutine)
    assert (scope.cancelled_caught, ended) == (True, ["cancelled"])


def test_what_stands_by_goes_on_when_it_is_begun_again() -> None:
    to_be_called: list[Callable[[], None]] = []

    async def handler() -> str:
        await stand_by(to_be_called.append)
        return "answer"

    coroutine = handler()
    standing = begin(coroutine)
    assert isinstance(standing, StandingBy)
    standing.subscribe(print)
    assert to_be_called == [print]
    assert begin(coroutine) == "answer"


def test_who_makes_another_go_on_can_still_step_aside() -> None:
    async def one() -> str:
        await stand_by(lambda call: None)
        return "resumed"

    async def other() -> None:
        assert begin(waiting) == "resumed"
        await step_aside()

    waiting = one()
    begin(waiting)
    coroutine = other()
    assert begin(coroutine) is WAITING
    coroutine.close()


async def test_stepping_aside_again_does_nothing_whoever_began_it() -> None:
    async def handler() -> str:
        await step_aside()
        await trio.lowlevel.checkpoint()
        await step_aside()
        await step_aside()
        return "answer"

    assert await finish(handler()) == "answer"
    coroutine = handler()
    begin(coroutine)
    assert await finish(coroutine) == "answer"


async def test_what_is_raised_at_a_checkpoint_can_be_caught_by_who_has_stepped_aside() -> None:
    async def handler() -> str:
        await step_aside()
        try:
            await trio.lowlevel.wait_readable(-1)
        except ValueError as error:
            caught = repr(error)
        await step_aside()
        await trio.lowlevel.checkpoint()
        return caught

    coroutine = handler()
    begin(coroutine)
    assert (await finish(coroutine)).startswith("ValueError")


@pytest.mark.parametrize("caught", [False, True])
def test_what_is_thrown_into_the_task_reaches_who_has_stepped_aside(caught: bool) -> None:
    async def handler() -> str:
        await step_aside()
        try:
            await waiting()
        except KeyError:
            if not caught:
                raise
        await waiting()
        return "answer"

    @types.coroutine
    def waiting() -> Generator[str, None, None]:
        yield "a trap of trio"

    async def task() -> str:
        return await finish(coroutine)

    coroutine, running = handler(), task()
    begin(coroutine)
    assert running.send(None) == "a trap of trio"
    if caught:
        assert running.throw(KeyError()) == "a trap of trio"
        with pytest.raises(StopIteration, match="answer"):
            running.send(None)
    else:
        with pytest.raises(KeyError):
            running.throw(KeyError())


def test_a_task_that_is_closed_closes_who_has_stepped_aside() -> None:
    ended: list[bool] = []

    async def handler() -> None:
        await step_aside()
        try:
            await waiting()
        finally:
            ended.append(True)

    @types.coroutine
    def waiting() -> Generator[str, None, None]:
        yield "a trap of trio"

    async def task() -> None:
        await finish(coroutine)

    coroutine, running = handler(), task()
    begin(coroutine)
    running.send(None)
    running.close()
    assert ended == [True]


async def test_a_checkpoint_without_stepping_aside_is_a_mistake_that_is_told_and_cleaned_up() -> None:
    ended: list[bool] = []

    async def handler() -> None:
        try:
            await trio.lowlevel.checkpoint()
        finally:
            ended.append(True)

    with pytest.raises(RuntimeError, match=r"handler.* reached a checkpoint without step_aside\(\)"):
        begin(handler())
    assert ended == [True]
