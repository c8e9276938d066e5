"""The local executor: this host's devices, each with a judge, and fresh runners for every job.

    submit ──► free device ──► two new runners ──► judge ──► verdict
                                   │
                                   └─ always killed, reaped and cleaned away before the device is free again

A worker is one judge on one device. Several workers may share a device; they time only under its lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from kbd.daemon.devices import Device
from kbd.daemon.executor.judge_client import JudgeClient, JudgeFailed
from kbd.daemon.executor.nursery_client import NurseryClient
from kbd.daemon.executor.process import sweep
from kbd.daemon.executor.protocol import Evaluate, Progress, Role
from kbd.daemon.executor.runner_process import RunnerEnd, RunnerProcess
from kbd.daemon.executor.spares import Spares
from kbd.daemon.judge.verdict import Verdict
from kbd.outbox.circumstances import DeviceReport

log = structlog.get_logger(__name__)

# The judge enforces the job's deadline; the daemon only steps in when the judge itself does not answer.
JUDGE_GRACE_S = 10.0
SPARES_PER_WORKER = 2


@dataclass(frozen=True)
class Outcome:
    """What came of one attempt: the judge's verdict, or why there is none."""

    verdict: Verdict | None
    failure: str | None
    runners: dict[Role, RunnerEnd]
    device: DeviceReport | None
    last_progress: Progress | None


@dataclass
class Worker:
    """One judge on one device; evaluates one job at a time."""

    device: Device
    judge: JudgeClient
    lease: asyncio.Lock
    spares: Spares
    job_id: str | None = None
    runners: dict[Role, RunnerProcess] = field(default_factory=dict)

    @property
    def pids(self) -> set[int]:
        """Processes of this worker that are alive."""
        pids = {runner.process.pid for runner in self.runners.values()} | self.spares.pids
        return pids | ({self.judge.pid} if self.judge.pid is not None else set())

    @contextlib.asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """The device for this worker alone, and no context being made on it."""
        async with self.lease, self.spares.quiet():
            yield


class LocalExecutor:
    """Runs evaluations on this host."""

    def __init__(self, devices: Sequence[Device], work_folder: Path, log_folder: Path) -> None:
        self._work_folder = work_folder
        self.nursery = NurseryClient(log_folder / "nursery.log")
        leases = {device.key: asyncio.Lock() for device in devices}
        self.workers = [
            Worker(
                device,
                JudgeClient(self.nursery, device.target, work_folder / f"judge-{number}"),
                leases[device.key],
                Spares(self.nursery, device.target, self._folders(number), SPARES_PER_WORKER),
            )
            for number, device in enumerate(devices)
        ]

    def _folders(self, worker: int) -> Callable[[int], Path]:
        return lambda runner: self._work_folder / f"runner-{worker}-{runner}"

    async def start(self) -> None:
        """Warm the nursery and every judge. Raises NurseryFailed or JudgeFailed."""
        shutil.rmtree(self._work_folder, ignore_errors=True)
        self._work_folder.mkdir(parents=True, mode=0o700)
        await self.nursery.start()
        for worker in self.workers:
            await worker.judge.start()
            worker.spares.refill()

    async def stop(self) -> None:
        """Kill every process and clean up."""
        for worker in self.workers:
            await worker.spares.close()
            for runner in worker.runners.values():
                await runner.end()
            await worker.judge.discard()
        await self.nursery.stop()
        sweep(set())
        shutil.rmtree(self._work_folder, ignore_errors=True)

    def free_worker(self, kind: str = "auto") -> Worker | None:
        """A worker without a job whose device is of this kind."""
        for worker in self.workers:
            if worker.job_id is None and kind in ("auto", worker.device.target.kind):
                return worker
        return None

    def has_kind(self, kind: str) -> bool:
        """Whether any device of this kind exists here."""
        return any(kind in ("auto", worker.device.target.kind) for worker in self.workers)

    async def run(
        self, worker: Worker, request: Evaluate, on_progress: Callable[[Progress], None]
    ) -> Outcome:
        """One attempt on a worker that the caller has taken (`worker.job_id`)."""
        last: list[Progress] = []

        def note(progress: Progress) -> None:
            last[:] = [progress]
            on_progress(progress)

        verdict, failure = None, None
        async with self._runners(worker, request) as (runners, ends):
            try:
                async with asyncio.timeout(request.seconds_left + JUDGE_GRACE_S):
                    verdict = await worker.judge.evaluate(
                        request,
                        runners["candidate"].channel,
                        runners["reference"].channel if "reference" in runners else None,
                        note,
                        worker.exclusive,
                    )
            except JudgeFailed as error:
                failure = str(error)
            except TimeoutError:
                failure = "the judge did not answer within the job's time"
        return Outcome(verdict, failure, ends, worker.judge.device, last[0] if last else None)

    @contextlib.asynccontextmanager
    async def _runners(
        self, worker: Worker, request: Evaluate
    ) -> AsyncIterator[tuple[dict[Role, RunnerProcess], dict[Role, RunnerEnd]]]:
        """Fresh runners for one job; whatever happens, none of them and nothing of theirs is left."""
        runners = worker.runners
        ends: dict[Role, RunnerEnd] = {}
        roles: tuple[Role, ...] = ("candidate", "reference") if request.reference else ("candidate",)
        try:
            await worker.judge.start()
            for role in roles:
                runners[role] = await worker.spares.take()
            worker.spares.refill()
            yield runners, ends
        finally:
            ended = await asyncio.gather(*(runner.end() for runner in runners.values()))
            ends.update(zip(runners, ended, strict=True))
            runners.clear()
            self._sweep()
            worker.spares.refill()

    def _sweep(self) -> None:
        if self.nursery.forking or any(worker.spares.busy for worker in self.workers):
            return  # there may be a child that nobody here knows yet; the next sweep finds what is to be found
        known = {pid for worker in self.workers for pid in worker.pids}
        if self.nursery.pid is not None:
            known.add(self.nursery.pid)
        if swept := sweep(known):
            log.warning("killed processes that a kernel left behind", action="orphans_swept", count=swept)
