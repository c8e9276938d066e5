"""A runner of the daemon's: warm before it is used, and gone without a trace after."""

import asyncio
import os

import pytest

from kbd.daemon.executor.channel import encode
from kbd.daemon.executor.nursery_client import NurseryFailed
from kbd.daemon.executor.process import ExitStatus
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.executor.runner_process import RunnerProcess
from kbd.daemon.executor.runner_protocol import Okay, Warm

CPU = DeviceTarget(kind="cpu")


@pytest.fixture
def start(fake_nursery, tmp_path, on_loop):
    def run():
        return on_loop(RunnerProcess.start(fake_nursery, tmp_path / "runner", CPU))

    return run


def test_a_runner_that_says_it_is_warm(start, on_loop, tmp_path):
    runner = start()
    assert runner.process.alive
    assert os.stat(tmp_path / "runner").st_mode & 0o777 == 0o700
    end = on_loop(runner.end())
    assert (end.exit, end.natural) == (ExitStatus(None, 9), False)
    assert not (tmp_path / "runner").exists()


def test_what_it_printed_and_how_it_died_is_known_at_the_end(start, on_loop, fake_nursery):
    fake_nursery.commands = ["echo spoken; exit 7"]
    runner = start()
    on_loop(runner.process.wait())
    end = on_loop(runner.end())
    assert (end.exit, end.natural, end.output, end.truncated) == (ExitStatus(7), True, "spoken\n", False)


def test_a_flood_is_marked_as_cut(start, on_loop, fake_nursery):
    fake_nursery.commands = ["yes | head -c 1000000"]
    runner = start()
    on_loop(runner.process.wait())
    assert on_loop(runner.end()).truncated


@pytest.mark.parametrize("greeting", [b"", encode(Okay()), encode(Warm())[:5]], ids=["dies", "lies", "stops"])
def test_a_runner_that_does_not_get_ready(start, fake_nursery, tmp_path, greeting):
    fake_nursery.greeting = greeting
    fake_nursery.commands = ["echo no device; exit 1"]
    with pytest.raises(NurseryFailed, match=r"did not get ready"):
        start()
    assert not fake_nursery.processes[0].alive
    assert not (tmp_path / "runner").exists()


def test_a_runner_that_never_gets_ready(start, fake_nursery, monkeypatch):
    monkeypatch.setattr("kbd.daemon.executor.runner_process.WARM_LIMIT_S", 0.01)
    fake_nursery.hangs_up = False
    fake_nursery.greeting = b""
    with pytest.raises(NurseryFailed):
        start()
    assert not fake_nursery.processes[0].alive


def test_nobody_waits_for_a_cancelled_start(fake_nursery, tmp_path, on_loop):
    fake_nursery.hangs_up = False
    fake_nursery.greeting = b""

    async def cancel():
        starting = asyncio.create_task(RunnerProcess.start(fake_nursery, tmp_path / "runner", CPU))
        await fake_nursery.forked.wait()
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    on_loop(cancel())
    assert not fake_nursery.processes[0].alive
    assert not (tmp_path / "runner").exists()
