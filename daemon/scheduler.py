"""The scheduler: queued jobs onto free workers, results into the database.

Priority, fairness and order are the store's (`next_submitted`); which device suits is decided here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog
from pydantic import ValidationError

from kbd.daemon.assembly import refused
from kbd.daemon.clerk import Clerk
from kbd.daemon.config import Limits
from kbd.daemon.desk import Desk
from kbd.daemon.executor.local import LocalExecutor, Worker
from kbd.daemon.job_run import JobRun, JobRunner, identity
from kbd.inbox.manifest import JobManifest
from kbd.outbox.report import ErrorReport
from kbd.outbox.result import JobResult
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage
from kbd.store.rows import JobRow
from kbd.store.states import JobState

log = structlog.get_logger(__name__)


class Scheduler:
    """Keeps every worker busy while there is something to do."""

    def __init__(
        self, executor: LocalExecutor, clerk: Clerk, desk: Desk, limits: Limits, woken: Callable[[], None]
    ) -> None:
        self._executor = executor
        self._clerk = clerk
        self._desk = desk
        self._limits = limits
        self._woken = woken
        self._runner = JobRunner(executor, clerk, desk, limits)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.running: dict[str, JobRun] = {}
        self.queue_empty = False

    @property
    def idle(self) -> bool:
        """Whether nothing runs."""
        return not self._tasks

    async def dispatch(self) -> None:
        """Start as many queued jobs as there are free workers for."""
        while self._executor.free_worker() is not None:
            rows = await self._clerk.do(
                self._desk.store.next_submitted, self._limits.queue_window, list(self._tasks)
            )
            self.queue_empty = not rows
            started = [await self._place(row) for row in rows]
            if not any(started):
                return

    def cancel_all(self) -> None:
        """End every running attempt now; its job goes back to the queue."""
        for task in self._tasks.values():
            task.cancel()

    async def ended(self) -> None:
        """Wait until every task is over."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _place(self, row: JobRow) -> bool:
        """Start one job, or end it where it cannot run here. False: it has to wait for a device."""
        try:
            manifest = JobManifest.model_validate_json(row.manifest_text or "")
        except ValidationError as error:
            await self._finish(row, _unreadable(row, error))
            return True
        if (refusal := self._runner.refusal(row, manifest)) is not None:
            await self._finish(row, refusal)
            return True
        worker = self._executor.free_worker(manifest.device.kind)
        if worker is None:
            return False
        self._start(JobRun(row, manifest, worker, time.monotonic()), worker)
        return True

    def _start(self, run: JobRun, worker: Worker) -> None:
        job_id = run.row.job_id
        worker.job_id = job_id
        self.running[job_id] = run
        self._tasks[job_id] = asyncio.create_task(self._go(run), name=f"job {job_id}")

    async def _go(self, run: JobRun) -> None:
        job_id = run.row.job_id
        try:
            result = await self._runner.run(run)
            if result is not None:
                await self._finish(run.row, result)
        except asyncio.CancelledError:
            raise
        except Exception:  # the job stays running in the database and is put back by the next start
            log.exception("attempt broke inside kbd", action="attempt_broken", job=job_id)
        finally:
            run.worker.job_id = None
            del self.running[job_id], self._tasks[job_id]
            self._woken()

    async def _finish(self, row: JobRow, result: JobResult) -> None:
        """Final in the database first, then in the outbox; a full outbox only delays the second."""
        first = await self._clerk.do(
            self._desk.store.finish,
            row.job_id,
            JobState(result.state),
            result.to_json(),
            result.status.value,
            stage=result.stage.value if result.stage else None,
            blame=result.blame.value if result.blame else None,
            speedup=result.speedup,
            error_message=result.error.message if result.error else None,
        )
        log.info("finished", action="finished", job=row.job_id, status=result.status.value, first=first)
        try:
            await self._clerk.do(self._desk.publishing.publish_one, row.job_id)
        except OSError as error:
            log.warning("result waits", action="publish_failed", job=row.job_id, reason=str(error))


def _unreadable(row: JobRow, error: ValidationError) -> JobResult:
    report = ErrorReport(
        type="UnreadableManifest",
        message=f"the manifest in the database does not fit this version of kbd: {error.errors()[0]['msg']}",
        hint="deliver the job again under a new id",
    )
    status, blame = EvaluationStatus.HARNESS_ERROR, Blame.HARNESS
    return refused(identity(row, row.attempts), status, blame, Stage.INTAKE, report)
