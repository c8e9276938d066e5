"""A runner as the daemon holds it: a process, our end of its channel, and how it ended."""

from __future__ import annotations

import asyncio
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from kbd.daemon.executor.async_channel import AsyncChannel
from kbd.daemon.executor.channel import ChannelError
from kbd.daemon.executor.nursery_client import NurseryClient, NurseryFailed
from kbd.daemon.executor.process import ChildProcess, ExitStatus, Log
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.executor.runner_protocol import FromNewRunner

# A process that aborts with a CUDA context takes a while to be gone (seen: over 0.2 s).
EXIT_GRACE_S = 2.0
WARM_LIMIT_S = 60.0


@dataclass(frozen=True)
class RunnerEnd:
    """How a runner ended, and what its kernel printed.

    `natural`: it died before the daemon killed it. `exit` is None while that is not known.
    """

    exit: ExitStatus | None
    natural: bool
    output: str
    truncated: bool
    flooded: bool = False


@dataclass(frozen=True)
class RunnerProcess:
    """One runner in a folder of its own; it hosts one kernel and is never used again."""

    process: ChildProcess
    channel: socket.socket
    folder: Path

    @classmethod
    async def start(cls, nursery: NurseryClient, folder: Path, device: DeviceTarget) -> RunnerProcess:
        """Fork one and wait until it is warm: settled in, with a context where it is on a CUDA device.

        Nothing of a user's has run in it yet, so what it says is still to be believed. Raises NurseryFailed.
        """
        folder.mkdir(mode=0o700)
        runner = cls(*await nursery.fork("runner", folder, device), folder)
        try:
            async with asyncio.timeout(WARM_LIMIT_S):
                await AsyncChannel(runner.channel, FromNewRunner).receive()
        except (ChannelError, TimeoutError):
            end = await runner.end(dying=True)
            raise NurseryFailed(f"a new runner did not get ready: {end.exit}\n{end.output[-2000:]}") from None
        except asyncio.CancelledError:
            await runner.end()
            raise
        return runner

    def record(self, log: Log) -> None:
        """Write down what it prints, from now on a job's."""
        assert self.process.output is not None
        self.process.output.record(log)

    def forget_output(self) -> None:
        """What it printed belongs to a job that is over."""
        assert self.process.output is not None
        self.process.output.start_over()

    def seen(self) -> RunnerEnd:
        """What is known of it while it is still being ended."""
        output = self.process.output
        assert output is not None
        output.drain()
        return RunnerEnd(None, natural=False, output=output.text(), truncated=output.truncated)

    async def end(self, *, dying: bool = False) -> RunnerEnd:
        """It is killed and its folder removed; one that is `dying` first gets a moment to die of what kills it."""
        self.channel.close()
        if dying:
            await self.process.ended_within(EXIT_GRACE_S)
        natural = not self.process.alive
        status = await self.process.kill()
        output = self.process.output
        assert output is not None
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)
        return RunnerEnd(status, natural, output.text(), output.truncated, output.flooded)
