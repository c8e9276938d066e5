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


# --- without company --------------------------------------------------------------------------------


def test_company_is_noticed_by_both():
    async def scenario():
        turn = DeviceTurn()
        async with turn.shared() as first:
            before = first.had_company
            async with turn.shared() as second:
                pass
            async with turn.shared() as third:
                pass
        async with turn.shared() as later:
            pass
        return before, [share.had_company for share in (first, second, third, later)]

    assert run(scenario()) == (False, [True, True, True, False])


def test_one_that_waits_to_time_is_company():
    """It has given up its share and still has its memory."""

    async def scenario():
        turn, begun = DeviceTurn(), asyncio.Event()

        async def timed():
            async with turn.shared() as share:
                begun.set()
                async with share.alone():
                    pass

        async with turn.shared() as share:
            task = asyncio.create_task(timed())
            await begun.wait()
            await settle()
        await task
        return share.had_company

    assert run(scenario())


def test_the_solitary_begins_when_all_are_gone_and_keeps_others_out():
    async def scenario():
        turn, order, go = DeviceTurn(), [], asyncio.Event()

        async def early():
            async with turn.shared() as share:
                await go.wait()
                async with share.alone():
                    order.append("early is timed")
            order.append("early is gone")

        async def hermit(name):
            async with turn.solitary() as share:
                order.append(name)
                async with share.alone():
                    order.append(f"{name} is timed")
                await settle()
                order.append(f"{name} is gone")
            return share.had_company

        async def late():
            async with turn.shared():
                order.append("late")

        tasks = [asyncio.create_task(early())]
        await settle()
        tasks += [asyncio.create_task(hermit("first")), asyncio.create_task(hermit("second"))]
        await settle()
        tasks.append(asyncio.create_task(late()))
        await settle()
        go.set()
        found = await asyncio.gather(*tasks)
        return order, found[1:3], turn.busy

    order, company, busy = run(scenario())
    assert order == [
        *("early is timed", "early is gone"),
        *("first", "first is timed", "first is gone"),
        *("second", "second is timed", "second is gone"),
        "late",
    ]
    assert company == [False, False]
    assert not busy


def test_who_only_ends_is_let_in_beside_the_solitary():
    async def scenario():
        turn, ended = DeviceTurn(), asyncio.Event()

        async def ending():
            async with turn.shared_to_end():
                ended.set()

        async with turn.solitary():
            task = asyncio.create_task(ending())
            await ended.wait()
        await task
        return turn.busy

    assert run(scenario()) is False


def test_a_solitary_that_is_cancelled_while_it_waits_lets_others_in():
    async def scenario():
        turn = DeviceTurn()

        async def hermit():
            async with turn.solitary():
                raise AssertionError("somebody is there")

        async with turn.shared():
            task = asyncio.create_task(hermit())
            await settle()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            async with turn.shared():
                pass
        return turn.busy

    assert run(scenario()) is False
