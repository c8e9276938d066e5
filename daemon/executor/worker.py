"""A worker: one judge on one device, with its spare runners and what is being done about both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from kbd.daemon.devices import Device
from kbd.daemon.executor.device_turn import DeviceTurn, Share
from kbd.daemon.executor.judge_client import JudgeClient
from kbd.daemon.executor.kept_references import KeptReferences
from kbd.daemon.executor.protocol import Role
from kbd.daemon.executor.runner_process import RunnerEnd, RunnerProcess
from kbd.daemon.executor.spares import Spares


@dataclass
class Worker:
    """One judge on one device; evaluates one job at a time.

    Attributes:
        turn: whose it is on the device; shared by its workers, as `spares` and `kept` are.
        job_id: the job that has taken it.
        problem: why its device gets no jobs.
        ending: runners of the last job, while they are being ended.
        examination: of its device, after a job that was cancelled.
        recovery: of its device, while there is a problem.
    """

    device: Device
    judge: JudgeClient
    turn: DeviceTurn
    spares: Spares
    kept: KeptReferences
    job_id: str | None = None
    problem: str | None = None
    runners: list[RunnerProcess] = field(default_factory=list)
    recovery: asyncio.Task[None] | None = None
    ending: asyncio.Task[dict[Role, RunnerEnd]] | None = None
    examination: asyncio.Task[None] | None = None

    @property
    def is_free(self) -> bool:
        """Whether it can take a job now: it has none, and its device is well as far as is known."""
        examined = self.examination is None or self.examination.done()
        return self.job_id is None and self.problem is None and examined

    @property
    def pids(self) -> set[int]:
        """Processes of this worker that are alive."""
        pids = {runner.process.pid for runner in self.runners} | self.spares.pids | self.kept.pids
        return pids | ({self.judge.pid} if self.judge.pid is not None else set())

    @contextlib.asynccontextmanager
    async def exclusive(self, share: Share) -> AsyncIterator[None]:
        """The device for this worker alone, and no context being made on it."""
        async with share.alone(), self.spares.quiet():
            yield

    async def close(self) -> None:
        """End all that works for it, and whatever is being done about it."""
        for task in (self.examination, self.recovery):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self.spares.close()
        if self.ending is not None:
            await self.ending
        await self.kept.close()
        await asyncio.gather(*(runner.end() for runner in self.runners))
        await self.judge.discard()
