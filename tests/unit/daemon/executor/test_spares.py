"""Spare runners: ready before they are wanted, used once, and not made while something is timed."""

import asyncio

import pytest
from structlog.testing import capture_logs

from kbd.daemon.executor.nursery_client import NurseryFailed
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.executor.spares import Spares, Stock, sparing, stock_for

CPU = DeviceTarget(kind="cpu")
WANTED = 2


@pytest.fixture
def spares(fake_nursery, tmp_path, on_loop):
    spares = Spares(fake_nursery, CPU, lambda number: tmp_path / f"runner-{number}", Stock(WANTED, WANTED))
    yield spares
    on_loop(refilled(spares))
    on_loop(spares.close())


async def refilled(spares):
    """The spares once they are as many as they will be."""
    spares.refill()
    if spares._refilling is not None:
        await asyncio.wait([spares._refilling])
    return spares.pids


async def used(runner):
    await runner.end()
    return runner.process.pid


def test_a_runner_is_made_where_none_is_ready(spares, on_loop, fake_nursery):
    async def take():
        return await used(await spares.take())

    on_loop(take())
    assert len(fake_nursery.processes) == 1


def test_spares_are_kept_ready_and_taken_once(spares, on_loop, fake_nursery):
    async def take_all():
        ready = await refilled(spares)
        taken = {await used(await spares.take()) for _ in range(WANTED)}
        return ready, taken, spares.pids

    ready, taken, left = on_loop(take_all())
    assert len(ready) == WANTED
    assert taken == ready
    assert left == set()
    assert len(fake_nursery.processes) == WANTED


def test_every_runner_has_another_folder(spares, on_loop, fake_nursery):
    async def take_some():
        for _ in range(3):
            await refilled(spares)
            await used(await spares.take())

    on_loop(take_some())
    folders = [process.folder for process in fake_nursery.processes]
    assert len(set(folders)) == len(folders)


def test_a_spare_that_died_meanwhile_is_not_given_out(spares, on_loop, fake_nursery):
    async def take():
        await refilled(spares)
        await fake_nursery.processes[0].kill()
        return await used(await spares.take())

    assert on_loop(take()) == fake_nursery.processes[1].pid


def test_nothing_is_made_while_it_is_quiet(spares, on_loop, fake_nursery):
    async def be_quiet():
        async with spares.quiet():
            spares.refill()
            made = (spares.busy, len(fake_nursery.processes))
        assert spares.busy, "what was not made meanwhile is made after"
        return made, len(await refilled(spares))

    assert on_loop(be_quiet()) == ((False, 0), WANTED)


def test_quiet_waits_for_the_spare_in_the_making(spares, on_loop, fake_nursery):
    async def be_quiet():
        spares.refill()
        assert spares.busy
        async with spares.quiet():
            return spares.busy, {process.pid for process in fake_nursery.processes} == spares.pids

    assert on_loop(be_quiet()) == (False, True), "what was begun is ready, and nothing else was begun"


def test_a_lease_within_a_lease_stays_quiet_until_the_outer_ends(spares, on_loop):
    async def be_quiet():
        async with spares.quiet():
            async with spares.quiet():
                pass
            return spares.busy

    assert on_loop(be_quiet()) is False


def test_a_failure_is_logged_and_met_by_the_next_job(spares, on_loop, fake_nursery):
    fake_nursery.refusal = NurseryFailed("no more processes")
    with capture_logs() as logs:
        assert on_loop(refilled(spares)) == set()
    assert {record["action"] for record in logs} == {"spare_failed"}
    with pytest.raises(NurseryFailed):
        on_loop(spares.take())


def test_closing_ends_every_spare_and_makes_no_more(spares, on_loop, fake_nursery):
    async def close():
        await refilled(spares)
        await spares.close()
        spares.refill()
        return spares.busy

    assert on_loop(close()) is False
    assert not any(process.alive for process in fake_nursery.processes)


def test_none_wanted_is_none_made(fake_nursery, tmp_path, on_loop):
    async def none():
        spares = Spares(fake_nursery, CPU, lambda number: tmp_path / str(number), Stock(0, 0))
        return await refilled(spares), spares.busy

    assert on_loop(none()) == (set(), False)


def test_a_stock_is_filled_by_the_batch_when_it_runs_low(fake_nursery, tmp_path, on_loop):
    spares = Spares(fake_nursery, CPU, lambda number: tmp_path / f"runner-{number}", Stock(low=2, full=4))

    async def take_until_low():
        levels = [len(await refilled(spares))]
        for _ in range(3):
            await used(await spares.take())
            levels.append(len(await refilled(spares)))
        spares.top_up()
        await asyncio.wait([spares._refilling])
        levels.append(len(spares.pids))
        await spares.close()
        return levels

    assert on_loop(take_until_low()) == [4, 3, 2, 4, 4]


def test_contexts_are_made_in_batches_and_forks_as_needed():
    assert stock_for(CPU) == Stock(low=2, full=2)
    on_cuda = stock_for(DeviceTarget(kind="cuda", visible="GPU-1"))
    assert on_cuda.full > on_cuda.low >= 2


def test_spares_on_cuda_have_one_queue_to_the_device_and_kernels_with_streams_the_drivers_default(
    fake_nursery, tmp_path, on_loop
):
    cuda = DeviceTarget(kind="cuda", visible="GPU-1")
    spares = Spares(fake_nursery, cuda, lambda number: tmp_path / f"runner-{number}", Stock(1, 1))

    async def take_both():
        await refilled(spares)
        await used(await spares.take(concurrent=True))
        await used(await spares.take())
        await spares.close()

    on_loop(take_both())
    assert [device.connections for device in fake_nursery.devices] == [1, None]


def test_a_cpu_has_no_queues():
    assert sparing(CPU) == CPU
