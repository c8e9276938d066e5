"""One job from the queue to its result: attempts are counted before anything starts, and always end.

begin attempt (durable) → executor → verdict ─┬─► result, final
                                              └─► back to the queue (device or harness fault, attempts left)
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import structlog

from kbd.backends.registry import why_unknown
from kbd.daemon.assembly import JobIdentity, Times, refused, result_of
from kbd.daemon.clerk import Clerk
from kbd.daemon.config import Limits
from kbd.daemon.desk import Desk
from kbd.daemon.executor.judge_client import JudgeFailed
from kbd.daemon.executor.local import LocalExecutor, Outcome, Worker
from kbd.daemon.executor.nursery_client import NurseryFailed
from kbd.daemon.executor.protocol import Evaluate, Progress, WorkloadPlan
from kbd.inbox.manifest import JobManifest
from kbd.inbox.names import JOB_FOLDER_SUFFIX
from kbd.outbox.report import ErrorReport
from kbd.outbox.result import JobResult
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage
from kbd.store.rows import JobRow
from kbd.store.states import JobState

log = structlog.get_logger(__name__)

STATE_OF_STAGE = {
    Stage.LOAD: JobState.COMPILING,
    Stage.CORRECTNESS: JobState.VALIDATING,
    Stage.TIMING: JobState.PROFILING,
}
ONLY_WORKLOAD = "default"
TRIED_AGAIN = frozenset({EvaluationStatus.DEVICE_ERROR, EvaluationStatus.HARNESS_ERROR})


@dataclass
class JobRun:
    """One job being judged; `stage` is what status displays show."""

    row: JobRow
    manifest: JobManifest
    worker: Worker
    started: float
    stage: str = Stage.LOAD.value


class JobRunner:
    """Takes queued jobs through an attempt each."""

    def __init__(self, executor: LocalExecutor, clerk: Clerk, desk: Desk, limits: Limits) -> None:
        self._executor = executor
        self._clerk = clerk
        self._store = desk.store
        self._spool_root = desk.spool.root
        self._limits = limits

    def refusal(self, row: JobRow, manifest: JobManifest) -> JobResult | None:
        """The result of a job that cannot run on this host at all, or None."""
        kernels = [kernel for kernel in (manifest.reference, manifest.candidate) if kernel is not None]
        problems = [why_unknown(kernel.kernel_type) for kernel in kernels]
        if not self._executor.has_kind(manifest.device.kind):
            problems.append(f"device.kind {manifest.device.kind!r} is asked for, and this host has none")
        problem = next(filter(None, problems), None)
        if problem is None:
            return None
        error = ErrorReport(type="Unsupported", message=problem)
        status, blame = EvaluationStatus.UNSUPPORTED, Blame.JOB
        return refused(identity(row, 0), status, blame, Stage.COMPILE, error, queued=_queued_s(row))

    async def run(self, run: JobRun) -> JobResult | None:
        """One attempt. None: the job went back to the queue. A cancelled attempt goes back as well."""
        job_id, device = run.row.job_id, run.worker.device.key
        queued_s = _queued_s(run.row)
        attempt = await self._clerk.do(self._store.begin_attempt, job_id, device, JobState.COMPILING)
        log.info("attempt begins", action="attempt", job=job_id, attempt=attempt, device=device)
        try:
            outcome = await self._attempt(run)
        except asyncio.CancelledError:
            await self._clerk.do(self._store.requeue, job_id, "the daemon was stopped")
            raise
        times = Times(queued=queued_s, total=time.monotonic() - run.started)
        environment = self._executor.nursery.environment
        result = result_of(identity(run.row, attempt), outcome, times, environment)
        if result.status in TRIED_AGAIN and attempt < self._limits.max_attempts:
            reason = result.error.message if result.error else result.status.value
            log.warning("attempt failed", action="attempt_failed", job=job_id, attempt=attempt, reason=reason)
            await self._clerk.do(self._store.requeue, job_id, reason)
            return None
        return result

    async def _attempt(self, run: JobRun) -> Outcome:
        try:
            return await self._executor.run(
                run.worker, self._request(run), lambda news: self._note(run, news)
            )
        except (JudgeFailed, NurseryFailed, OSError) as error:
            return Outcome(None, f"{type(error).__name__}: {error}", {}, None, None)

    def _request(self, run: JobRun) -> Evaluate:
        manifest = run.manifest
        return Evaluate(
            job_id=run.row.job_id,
            candidate=manifest.candidate,
            reference=manifest.reference,
            workloads=workload_plans(manifest),
            evaluation=manifest.evaluation,
            folder=self._folder_of(run.row),
            seconds_left=manifest.timeout,
            limits=self._limits.stages,
        )

    def _folder_of(self, row: JobRow) -> str | None:
        """Where the files beside the manifest lie, for a job that is a folder."""
        if row.claimed_path is None or not row.claimed_path.endswith(JOB_FOLDER_SUFFIX):
            return None
        return str(self._spool_root / row.claimed_path)

    def _note(self, run: JobRun, news: Progress) -> None:
        """Write down which stage a job has reached; the writing must not hold the judge up."""
        if news.stage == run.stage:
            return
        run.stage = news.stage
        state = STATE_OF_STAGE.get(Stage(news.stage))
        if state is not None:
            task = asyncio.ensure_future(self._clerk.do(self._store.advance, run.row.job_id, state))
            task.add_done_callback(_log_failure)


def workload_plans(manifest: JobManifest) -> tuple[WorkloadPlan, ...]:
    """The manifest's workloads, each with the contracts bound to its axes.

    The reference's contract owns the inputs; the candidate's does where the reference has none.
    """
    pairs = zip(manifest.bound_workloads("reference"), manifest.bound_workloads("candidate"), strict=True)
    return tuple(
        WorkloadPlan(
            name=reference.name or ONLY_WORKLOAD,
            axes=reference.axes,
            inputs=reference.contract or candidate.contract,
            candidate=candidate.contract,
            reference=reference.contract,
        )
        for reference, candidate in pairs
    )


def _log_failure(task: asyncio.Future[bool]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("stage not recorded", action="advance_failed", reason=str(error))


def identity(row: JobRow, attempt: int) -> JobIdentity:
    """What results repeat from a row."""
    return JobIdentity(row.job_id, row.manifest_sha256 or "", attempt, row.labels)


def _queued_s(row: JobRow) -> float:
    """For people only: the clock may have been set meanwhile."""
    return max(0.0, time.time() - row.submitted_at)
