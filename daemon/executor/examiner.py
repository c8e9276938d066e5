"""Whether a device still works, asked after a job that ended badly and before anybody else gets it.

::

    bad end ──examine──► well: given on
                         not: out of service ──recover, less and less often──► well: back in service
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from kbd.daemon.executor.device_health import DeviceHealth
from kbd.daemon.executor.worker import Worker
from kbd.outbox.verdict import EvaluationStatus

log = structlog.get_logger(__name__)

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 300.0
SHAKES_A_DEVICE = frozenset(
    {
        EvaluationStatus.CRASHED,
        EvaluationStatus.TIMEOUT,
        EvaluationStatus.RUNTIME_ERROR,
        EvaluationStatus.OUT_OF_MEMORY,
        EvaluationStatus.DEVICE_ERROR,
        EvaluationStatus.INVALID_REFERENCE,
    }
)
"""After these a CUDA device is examined."""


class Examiner:
    """Examines the devices of some workers.

    Attributes:
        changed: called when a worker has become free other than by the end of a job.
    """

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.changed: Callable[[], None] = lambda: None
        self._workers = workers
        cards = {worker.device.key for worker in workers if worker.device.target.kind == "cuda"}
        self._health = {key: DeviceHealth(key) for key in cards}

    def remember(self) -> None:
        """How the devices are with nothing of ours on them."""
        for health in self._health.values():
            health.remember()

    async def examine(self, worker: Worker) -> None:
        """A device that fails gets no more jobs until it passes."""
        if worker.problem is not None:
            return  # another worker's job has found it out meanwhile, and that one looks after it
        problem = await self._problem_of(worker)
        if problem is not None and worker.problem is None:
            log.error("device out of service", action="device_out", device=worker.device.key, reason=problem)
            self._tell(worker, problem)
            worker.recovery = asyncio.create_task(self._recover(worker))

    def _sharing(self, worker: Worker) -> list[Worker]:
        """All workers of this one's device."""
        return [each for each in self._workers if each.device.key == worker.device.key]

    def _tell(self, worker: Worker, problem: str | None) -> None:
        for each in self._sharing(worker):
            each.problem = problem

    def examine_when_ended(self, worker: Worker) -> None:
        """Nobody knows what a cancelled kernel was doing: the next job waits until the device has been asked."""
        worker.examination = asyncio.create_task(self._examine_when_ended(worker))

    async def _examine_when_ended(self, worker: Worker) -> None:
        if worker.ending is not None:
            await asyncio.shield(worker.ending)
        await self.examine(worker)
        self.changed()

    async def _problem_of(self, worker: Worker) -> str | None:
        """What is wrong with a worker's device, by its own work, its memory and its driver."""
        async with worker.turn.shared(), worker.spares.quiet():
            problem = await worker.judge.probe()
            health = self._health.get(worker.device.key)
            if problem is not None or health is None:
                return problem
            sharing = self._sharing(worker)
            return await health.problem(
                processes=len(set().union(*(each.pids for each in sharing))),
                judge=worker.judge.pid,
                alone=all(each is worker or each.job_id is None for each in sharing),
                job=worker.job_id,
            )

    async def _recover(self, worker: Worker) -> None:
        """Try again, with a judge of its own each time."""
        pause_s = FIRST_RETRY_S
        while worker.problem is not None:
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LAST_RETRY_S)
            await worker.judge.discard()
            self._tell(worker, await self._problem_of(worker))
        log.info("device back in service", action="device_back", device=worker.device.key)
        self.changed()
