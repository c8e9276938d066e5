"""Shares of a device, and the device alone: never both, never for ever."""

import asyncio
import contextlib
import random

import pytest

from kbd.daemon.executor.device_turn import DeviceTurn


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario, 20))


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


def test_shares_are_held_together_and_the_device_by_one_alone():
    async def scenario():
        turn, inside, most, alone_with = DeviceTurn(), 0, 0, []
        choose = random.Random(7)

        async def job():
            nonlocal inside, most
            async with turn.shared() as share:
                inside += 1
                most = max(most, inside)
                for _ in range(choose.randrange(3)):
                    await settle()
                inside -= 1
                async with share.alone():
                    alone_with.append(inside)
                    inside += 100
                    await settle()
                    inside -= 100

        await asyncio.gather(*(job() for _ in range(20)))
        return most, alone_with, turn.busy

    most, alone_with, busy = run(scenario())
    assert most > 1
    assert alone_with == [0] * 20
    assert not busy


def test_two_that_have_shares_can_both_have_the_device_alone():
    async def scenario():
        turn, order = DeviceTurn(), []

        async def job(name):
            async with turn.shared() as share:
                await settle()
                async with share.alone():
                    order.append(name)
                async with share.alone():
                    order.append(name)

        await asyncio.gather(job("a"), job("b"))
        return order

    assert sorted(run(scenario())) == ["a", "a", "b", "b"]


def test_nobody_new_gets_a_share_while_somebody_waits_to_time():
    async def scenario():
        turn, order = DeviceTurn(), []
        hold, entered = asyncio.Event(), asyncio.Event()

        async def slow():
            async with turn.shared():
                entered.set()
                await hold.wait()
                order.append("slow")

        async def timed():
            await entered.wait()
            async with turn.shared() as share, share.alone():
                order.append("timed")

        async def late():
            async with turn.shared():
                order.append("late")

        tasks = [asyncio.create_task(slow()), asyncio.create_task(timed())]
        await settle()
        tasks.append(asyncio.create_task(late()))
        await settle()
        assert order == []
        hold.set()
        await asyncio.gather(*tasks)
        return order

    assert run(scenario()) == ["slow", "timed", "late"]


@pytest.mark.parametrize("holding", [True, False])
def test_one_that_is_cancelled_holds_nobody_up(holding):
    """While it has the device alone, and while it waits for it."""

    async def scenario():
        turn, hold, alone = DeviceTurn(), asyncio.Event(), asyncio.Event()

        async def sharing():
            async with turn.shared():
                await hold.wait()

        async def timed():
            async with turn.shared() as share, share.alone():
                alone.set()
                await asyncio.Event().wait()

        other = asyncio.create_task(sharing())
        await settle()
        task = asyncio.create_task(timed())
        await settle()
        if holding:
            hold.set()
            await alone.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        hold.set()
        await other
        async with turn.shared() as share, share.alone():
            pass
        return turn.busy

    assert run(scenario()) is False
