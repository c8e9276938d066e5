"""A nursery of shell commands."""

import asyncio
import os

import pytest

from kbd.daemon.executor.async_channel import channel_pair
from kbd.daemon.executor.channel import encode
from kbd.daemon.executor.process import ChildProcess, OutputTail
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.executor.runner_process import RunnerProcess
from kbd.daemon.executor.runner_protocol import Warm


class FakeNursery:
    """Its children are shell commands, the next one for each fork; they say `greeting` on their channel."""

    pid = None
    forking = False

    def __init__(self):
        self.commands = []
        self.processes = []
        self.refusal = None
        self.greeting = encode(Warm())
        self.hangs_up = True
        self.forked = asyncio.Event()
        self.channels = []
        self.devices = []

    async def fork(self, child, folder, device):
        if self.refusal is not None:
            raise self.refusal
        command = self.commands.pop(0) if self.commands else "exec sleep 600"
        reading, writing = os.pipe()
        actions = [(os.POSIX_SPAWN_DUP2, writing, 1)]
        arguments = ["sh", "-c", command]
        pid = os.posix_spawn(  # noqa: ASYNC221 - it only starts
            "/bin/sh", arguments, os.environ, file_actions=actions, setsid=True
        )
        os.close(writing)
        self.devices.append(device)
        self.processes.append(ChildProcess(pid, OutputTail(reading), folder))
        ours, theirs = channel_pair()
        theirs.sendall(self.greeting)
        self.channels.append(theirs)
        if self.hangs_up:
            theirs.close()
        self.forked.set()
        return self.processes[-1], ours


@pytest.fixture
def fake_nursery(on_loop, monkeypatch):
    """A nursery whose children do nothing; those that a test leaves are killed."""
    monkeypatch.setattr("kbd.daemon.executor.runner_process.EXIT_GRACE_S", 0.001)
    nursery = FakeNursery()
    yield nursery
    for process in nursery.processes:
        on_loop(process.kill())
    for channel in nursery.channels:
        channel.close()


@pytest.fixture
def started(fake_nursery, tmp_path, on_loop):
    """Starts runners; what a test leaves is ended."""
    runners = []

    async def start():
        runners.append(
            await RunnerProcess.start(
                fake_nursery, tmp_path / f"runner-{len(runners)}", DeviceTarget(kind="cpu")
            )
        )
        return runners[-1]

    yield start

    async def end():
        for runner in runners:
            await runner.end()

    on_loop(end())
