"""The scheduler: queued jobs onto free workers, results into the database.

Priority, fairness and order are the store's (`next_submitted`); which device suits is decided by `placement`.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable

import structlog
from pydantic import ValidationError

from kbd.daemon.assembly import refused
from kbd.daemon.backoff import Backoff
from kbd.daemon.clerk import Clerk
from kbd.daemon.compiling import kernels_to_compile
from kbd.daemon.config import Limits
from kbd.daemon.desk import Desk
from kbd.daemon.executor.local import LocalExecutor
from kbd.daemon.executor.worker import Worker
from kbd.daemon.job_logs.log_writing import LogWriting
from kbd.daemon.job_run import JobRun, JobRunner, PutBack, identity
from kbd.daemon.placement import placed, target_of
from kbd.inbox.epoch import EpochLost
from kbd.inbox.manifest import JobManifest
from kbd.inbox.spool import SpoolMissing
from kbd.outbox.report import ErrorReport
from kbd.outbox.result import JobResult
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage
from kbd.store.errors import IllegalTransition, StoreUnavailable
from kbd.store.rows import JobRow
from kbd.store.states import JobState

log = structlog.get_logger(__name__)

STORE_RETRY_S = 2.0
COMPILED_AHEAD = 2  # jobs per worker
OWNERS_REMEMBERED = 10_000


class Scheduler:
    """Keeps every worker busy while there is something to do.

    Attributes:
        running: the attempts that are being made.
        queue_empty: nothing was queued when last asked.
        results_wait: a result could not be published when it was there; whoever publishes those resets this.
    """

    def __init__(
        self,
        executor: LocalExecutor,
        clerk: Clerk,
        desk: Desk,
        limits: Limits,
        woken: Callable[[], None],
        job_logs: LogWriting | None = None,
    ) -> None:
        self._executor = executor
        self._clerk = clerk
        self._desk = desk
        self._limits = limits
        self._woken = woken
        self._runner = JobRunner(executor, clerk, desk, limits, self._worker_for, job_logs)
        self._compiled: dict[str, asyncio.Future[Worker]] = {}
        self._need_no_compiler: set[str] = set()
        self._backoff = Backoff(limits.retry_first_s, limits.retry_longest_s)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.running: dict[str, JobRun] = {}
        self.queue_empty = False
        self.results_wait = False
        self._turns = itertools.count(1)
        self._served: dict[str, int] = {}  # owners in the order of their last turns

    def adopt(self, limits: Limits) -> None:
        """Work by these limits from now on; attempts that have begun keep theirs."""
        self._limits = self._runner.limits = limits
        self._backoff.first_s, self._backoff.longest_s = limits.retry_first_s, limits.retry_longest_s

    @property
    def idle(self) -> bool:
        """Whether nothing runs."""
        return not self._tasks

    @property
    def due_in_s(self) -> float | None:
        """When to dispatch though nothing happens: a job has rested. None: there is none."""
        return self._backoff.due_in_s()

    async def dispatch(self) -> None:
        """Start as many queued jobs as there are free workers for. Raises StoreUnavailable.

        Jobs for which no free worker will do are passed over, up to a limit, so that they do not block others.
        A device that becomes free meanwhile is for the next round, which its job has woken: else many quick jobs
        would keep the service from everything else.
        """
        self._hand_out_workers()
        unsuited: set[str] = set()
        were_free = bool(self._executor.free_workers())
        while (room := self._room()) and not self._freed_since(were_free):
            were_free = bool(self._executor.free_workers())
            # While no device is free, those that wait for one need not be looked at round after round.
            passed_over = unsuited if were_free else self._need_no_compiler
            if len(passed_over) >= self._limits.queue_window:
                break
            left_out = self._backoff.resting() | passed_over
            rows = await self._clerk.do(
                self._desk.store.next_submitted, room, list(self._tasks), left_out, dict(self._served)
            )
            if not rows:
                break
            for row in rows:
                if self._freed_since(were_free):
                    break
                if await self._place(row):
                    self._need_no_compiler.discard(row.job_id)
                else:
                    passed_over.add(row.job_id)
        self.queue_empty = await self._clerk.do(self._desk.store.queued) == 0
        if self.queue_empty:
            self._need_no_compiler.clear()

    async def cancel(self, row: JobRow, result: JobResult) -> bool:
        """Make a job final with this result; what works for it is killed and gone when this returns.

        False: it was final before. The database decides, so that nothing has two results.
        """
        if not await self._keep(row, result):
            return False
        self._backoff.end(row.job_id)
        self._need_no_compiler.discard(row.job_id)
        run, task = self.running.get(row.job_id), self._tasks.get(row.job_id)
        if run is not None and task is not None:
            task.cancel()
            await asyncio.wait([task])
            if run.worker is not None and run.worker.ending is not None:
                await asyncio.wait([run.worker.ending])
        await self._publish(row.job_id)
        return True

    def hurry(self, job_id: str) -> bool:
        """End the rest of a job after a failed attempt. False: it did not rest."""
        return self._backoff.end(job_id)

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
        if kernels_to_compile(manifest):
            return self._start_compiling(row, manifest)
        worker = placed(manifest.device, self._executor.free_workers())
        if worker is None:
            return False
        worker.job_id = row.job_id
        self._start(JobRun(row, manifest, worker, time.monotonic()))
        return True

    def _start_compiling(self, row: JobRow, manifest: JobManifest) -> bool:
        """Start a job without a device. False: enough are being compiled, or the device is not known yet."""
        target = self._runner.compile_target(manifest)
        if target is None or self._compile_room() == 0:
            return False
        run = JobRun(row, manifest, None, time.monotonic(), stage=Stage.COMPILE.value, target=target)
        self._start(run)
        return True

    def _freed_since(self, were_free: bool) -> bool:
        """Whether the first device has become free after it was asked who is next."""
        return not were_free and bool(self._executor.free_workers())

    def _room(self) -> int:
        """How many jobs could be started now: on free devices, or by compiling while devices are busy."""
        return len(self._executor.free_workers()) or self._compile_room()

    def _compile_room(self) -> int:
        """Compiled jobs wait for a device, so no more are compiled ahead than devices can soon take."""
        without_device = sum(run.worker is None for run in self.running.values())
        ahead = self._executor.compilers.settings.slots + COMPILED_AHEAD * len(self._executor.workers)
        return max(0, ahead - without_device)

    async def _worker_for(self, run: JobRun) -> Worker:
        """A worker that suits a compiled job, as soon as one is free; it is taken."""
        job_id = run.row.job_id
        self._compiled[job_id] = asyncio.get_running_loop().create_future()
        self._hand_out_workers()
        try:
            return await self._compiled[job_id]
        finally:
            del self._compiled[job_id]

    def _hand_out_workers(self) -> None:
        """Give free workers to compiled jobs: the highest priority first, then who was compiled first."""
        waiting = [self.running[job_id] for job_id, future in self._compiled.items() if not future.done()]
        for run in sorted(waiting, key=lambda run: -run.manifest.priority):
            suiting = [w for w in self._executor.free_workers() if target_of(w) == run.target]
            if (worker := placed(run.manifest.device, suiting)) is not None:
                run.worker, worker.job_id = worker, run.row.job_id
                self._compiled[run.row.job_id].set_result(worker)

    def _start(self, run: JobRun) -> None:
        job_id = run.row.job_id
        self.running[job_id] = run
        self._served.pop(run.row.owner, None)
        self._served[run.row.owner] = next(self._turns)
        if len(self._served) > OWNERS_REMEMBERED:
            del self._served[next(iter(self._served))]
        self._tasks[job_id] = asyncio.create_task(self._go(run), name=f"job {job_id}")

    async def _go(self, run: JobRun) -> None:
        """A whole attempt. The worker is free and the service woken afterwards, whatever happens."""
        job_id = run.row.job_id
        try:
            match await self._runner.run(run):
                case PutBack(attempts=attempts):
                    self._rest(job_id, attempts)
                case JobResult() as result:
                    # The verdict was hard to come by: it is kept until the database takes it.
                    await self._insist(lambda: self._keep(run.row, result))
                    await self._publish(job_id)
        except IllegalTransition:
            log.info("no longer queued", action="not_started", job=job_id)  # cancelled at this moment
        except StoreUnavailable as error:
            reason = str(error)
            await self._insist(lambda: self._clerk.do(self._desk.store.requeue, job_id, reason))
            self._rest(job_id, run.row.attempts + 1)
        except Exception:  # the job stays running in the database and is put back by the next start
            log.exception("attempt broke inside kbd", action="attempt_broken", job=job_id)
        finally:
            if run.worker is not None:
                run.worker.job_id = None
            del self.running[job_id], self._tasks[job_id]
            self._woken()

    def _rest(self, job_id: str, attempts: int) -> None:
        self.queue_empty = False
        seconds = self._backoff.rest(job_id, attempts)
        log.info("rests before it is tried again", action="resting", job=job_id, seconds=seconds)

    async def _insist(self, change: Callable[[], Awaitable[bool]]) -> None:
        """Change the database, however often it takes."""
        while True:
            try:
                await change()
            except StoreUnavailable as error:
                log.warning("not stored yet", action="store_failed", reason=str(error))
                await asyncio.sleep(STORE_RETRY_S)
            else:
                return

    async def _finish(self, row: JobRow, result: JobResult) -> None:
        """Final in the database first, then in the outbox; a full outbox only delays the second."""
        await self._keep(row, result)
        await self._publish(row.job_id)

    async def _keep(self, row: JobRow, result: JobResult) -> bool:
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
        return first

    async def _publish(self, job_id: str) -> None:
        """Now, if possible; else the service's next round does it."""
        try:
            await self._clerk.do(self._desk.publishing.publish_one, job_id)
        except (OSError, SpoolMissing, EpochLost, StoreUnavailable) as error:
            # Whose the spool is, the service sees.
            self.results_wait = True
            log.warning("result waits", action="publish_failed", job=job_id, reason=str(error))


def _unreadable(row: JobRow, error: ValidationError) -> JobResult:
    report = ErrorReport(
        type="UnreadableManifest",
        message=f"the manifest in the database does not fit this version of kbd: {error.errors()[0]['msg']}",
        hint="deliver the job again under a new id",
    )
    status, blame = EvaluationStatus.HARNESS_ERROR, Blame.HARNESS
    return refused(identity(row, row.attempts), status, blame, Stage.INTAKE, report)
