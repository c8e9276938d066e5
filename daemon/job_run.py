"""One job from the queue to its result: attempts are counted before anything starts, and always end.

begin attempt (durable) → executor → verdict ─┬─► result, final
                                              └─► back to the queue (device or harness fault, attempts left)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import structlog

from kbd.backends.base import Target
from kbd.backends.registry import closest_kernel_type, why_unusable
from kbd.daemon.assembly import JobIdentity, Times, refused, result_of, with_history
from kbd.daemon.clerk import Clerk
from kbd.daemon.compiling import ONLY_WORKLOAD, CompiledKernels, compile_kernels
from kbd.daemon.config import Limits
from kbd.daemon.desk import Desk
from kbd.daemon.executor.judge_client import JudgeFailed
from kbd.daemon.executor.local import LocalExecutor, Outcome
from kbd.daemon.executor.nursery_client import NurseryFailed
from kbd.daemon.executor.protocol import Evaluate, Progress, WorkloadPlan
from kbd.daemon.executor.worker import Worker
from kbd.daemon.job_files import folder_of, require_files
from kbd.daemon.job_logs.log_writing import LogWriting
from kbd.daemon.placement import target_for, why_impossible
from kbd.daemon.unmeasured import with_unmeasured
from kbd.inbox.manifest import JobManifest
from kbd.outbox.report import ErrorReport
from kbd.outbox.result import JobResult
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage
from kbd.store.rows import COMPILER, JobRow
from kbd.store.states import JobState

log = structlog.get_logger(__name__)

STATE_OF_STAGE = {
    Stage.LOAD: JobState.COMPILING,
    Stage.CORRECTNESS: JobState.VALIDATING,
    Stage.TIMING: JobState.PROFILING,
}
STAGES_OF_LOADED = frozenset({Stage.CORRECTNESS, Stage.TIMING})
"""Who loads once more, in further processes, has not gone back."""
COMPILE_ANYWHERE = "mode compile needs no device; name what to compile for in device.arch, such as sm_90"
TRIED_AGAIN = frozenset({EvaluationStatus.DEVICE_ERROR, EvaluationStatus.HARNESS_ERROR})


@dataclass
class JobRun:
    """One job being judged; `stage` is what status displays show.

    Without a `worker` its kernels are compiled first, for `target`. `waited_s`: for compile slots and a device.
    """

    row: JobRow
    manifest: JobManifest
    worker: Worker | None
    started: float
    stage: str = Stage.LOAD.value
    target: Target | None = None
    waited_s: float = 0.0

    @property
    def place(self) -> str:
        """Where it is: a device, or a compiler."""
        return self.worker.device.key if self.worker is not None else COMPILER


@dataclass(frozen=True)
class PutBack:
    """The job is in the queue again after so many attempts: nobody's kernel was to blame."""

    attempts: int
    reason: str


class JobRunner:
    """Takes queued jobs through an attempt each.

    `worker_for` waits for a device that suits a compiled job. `job_logs`: where compilers' output is written.
    """

    def __init__(
        self,
        executor: LocalExecutor,
        clerk: Clerk,
        desk: Desk,
        limits: Limits,
        worker_for: Callable[[JobRun], Awaitable[Worker]],
        job_logs: LogWriting | None = None,
    ) -> None:
        self._executor = executor
        self._worker_for = worker_for
        self._job_logs = job_logs
        self._clerk = clerk
        self._store = desk.store
        self._spool_root = desk.spool.root
        self.limits = limits

    def refusal(self, row: JobRow, manifest: JobManifest) -> JobResult | None:
        """The result of a job that cannot run on this host at all, or None."""
        error = next(self._obstacles(manifest), None)
        if error is None:
            return None
        status, blame = EvaluationStatus.UNSUPPORTED, Blame.JOB
        return refused(identity(row, 0), status, blame, Stage.COMPILE, error, queued=_queued_s(row))

    def _obstacles(self, manifest: JobManifest) -> Iterator[ErrorReport]:
        kernels = [kernel for kernel in (manifest.reference, manifest.candidate) if kernel is not None]
        for kernel_type in (kernel.kernel_type for kernel in kernels):
            if problem := why_unusable(kernel_type):
                hint = closest_kernel_type(kernel_type)
                yield ErrorReport(type="Unsupported", message=problem, hint=hint)
        if problem := self._why_nowhere(manifest):
            hint = COMPILE_ANYWHERE if manifest.evaluation.mode == "compile" else None
            yield ErrorReport(type="Unsupported", message=problem, hint=hint)

    def _why_nowhere(self, manifest: JobManifest) -> str | None:
        """Why no device here will do; compiling alone needs none if it is known for what."""
        if manifest.evaluation.mode == "compile" and self.compile_target(manifest) is not None:
            return None
        return why_impossible(manifest.device, self._executor.workers)

    def compile_target(self, manifest: JobManifest) -> Target | None:
        """What the job's kernels are to be compiled for."""
        request = manifest.device
        if manifest.evaluation.mode == "compile" and request.arch is not None:
            return Target("cuda", request.arch)
        if manifest.evaluation.mode == "compile" and request.kind == "cpu":
            return Target("cpu")
        return target_for(request, self._executor.workers)

    async def run(self, run: JobRun) -> JobResult | PutBack:
        """One attempt. When it is cancelled, the job goes back to the queue (unless it is final already).

        Raises IllegalTransition for a job that is no longer queued, and StoreUnavailable.
        """
        job_id, device = run.row.job_id, run.place
        try:
            attempt = await self._clerk.do(self._store.begin_attempt, job_id, device, JobState.COMPILING)
            log.info("attempt begins", action="attempt", job=job_id, attempt=attempt, device=device)
            result = await self._judged(run, attempt)
        except asyncio.CancelledError:
            await self._clerk.do(self._store.requeue, job_id, "the attempt was stopped")
            raise
        if result.status not in TRIED_AGAIN:
            return result
        reason = result.error.message if result.error else result.status.value
        log.warning("attempt failed", action="attempt_failed", job=job_id, attempt=attempt, reason=reason)
        if attempt >= self.limits.max_attempts:
            return with_history(result, await self._clerk.do(self._store.attempts, job_id))
        await self._clerk.do(self._store.requeue, job_id, reason)
        return PutBack(attempt, reason)

    async def _judged(self, run: JobRun, attempt: int) -> JobResult:
        """The attempt's result; a defect of kbd makes it a harness error, so that the attempt still ends."""
        job, queued_s = identity(run.row, attempt), _queued_s(run.row)
        try:
            outcome = await self._attempt(run, attempt)
            total_s = time.monotonic() - run.started - run.waited_s
            times = Times(queued=queued_s + run.waited_s, total=total_s, compile=outcome.compile_s)
            isolation = self._executor.isolation_of(run.worker)
            result = result_of(job, outcome, times, self._environment(outcome), isolation)
            return with_unmeasured(result, run.manifest.evaluation)
        except Exception as error:
            log.exception("attempt broke inside kbd", action="attempt_broken", job=job.job_id)
            report = ErrorReport(
                type="InternalError", message=f"kbd itself failed: {type(error).__name__}: {error}"
            )
            status, blame = EvaluationStatus.HARNESS_ERROR, Blame.HARNESS
            return refused(job, status, blame, Stage(run.stage), report, queued=queued_s)

    def _environment(self, outcome: Outcome) -> dict[str, str | None]:
        """Versions of what took part; of compilers, where one was asked for."""
        versions = dict(self._executor.nursery.environment)
        if outcome.compile_s is not None:
            versions["nvcc"] = self._executor.compilers.nvcc
        return versions

    async def _attempt(self, run: JobRun, attempt: int) -> Outcome:
        compiled = CompiledKernels()
        try:
            if run.worker is None:
                compiled = await self._compiled(run, attempt)
            if compiled.verdict is not None:
                return outcome_of(compiled)
            worker = run.worker or await self._with_worker(run)
            await self._clerk.do(require_files, self._spool_root, run.row)
            request = self._request(run, attempt, compiled)
            archives = tuple(compiled.archives.values())
            outcome = await self._executor.run(
                worker,
                request,
                lambda news: self._note(run, news),
                archives=archives,
                owner=run.row.owner or "",
            )
            if outcome.verdict is not None and outcome.verdict.status is EvaluationStatus.INVALID_JOB:
                await self._clerk.do(require_files, self._spool_root, run.row)  # was the job to blame?
            return after_compiling(outcome, compiled)
        except (JudgeFailed, NurseryFailed, OSError) as error:
            reason = f"{type(error).__name__}: {error}"
            return Outcome(None, reason, {}, None, None, compile_s=compiled.seconds)
        finally:
            compiled.close()

    async def _compiled(self, run: JobRun, attempt: int) -> CompiledKernels:
        """The job's kernels, built while no device is held."""
        assert run.target is not None
        run.stage = Stage.COMPILE.value
        log.info("stage reached", action="stage", job=run.row.job_id, stage=run.stage, device=None)
        started = time.monotonic()
        logs = self._job_logs
        begin_log = None if logs is None else partial(logs.begin, run.row.job_id, attempt)
        compiled = await compile_kernels(run.manifest, run.target, self._executor.compilers, begin_log)
        run.waited_s += max(0.0, time.monotonic() - started - (compiled.seconds or 0.0))
        return compiled

    async def _with_worker(self, run: JobRun) -> Worker:
        """A device for a job that is compiled."""
        started = time.monotonic()
        worker = await self._worker_for(run)
        run.waited_s += time.monotonic() - started
        run.stage = Stage.LOAD.value
        await self._clerk.do(self._store.place, run.row.job_id, worker.device.key)
        return worker

    def _request(self, run: JobRun, attempt: int, compiled: CompiledKernels) -> Evaluate:
        """What the judge is asked. `timeout` is the attempt's own: it began when the queue ended."""
        manifest, limits = run.manifest, self.limits.stages
        if compiled.unfinished:  # what could not be built without the device is built while it is loaded
            longest_s = max(limits.load_s, self._executor.compilers.settings.limit_s)
            limits = limits.model_copy(update={"load_s": longest_s})
        return Evaluate(
            job_id=run.row.job_id,
            attempt=attempt,
            candidate=manifest.candidate,
            reference=manifest.reference,
            workloads=workload_plans(manifest),
            evaluation=manifest.evaluation,
            folder=folder_of(self._spool_root, run.row),
            seconds_left=max(0.0, manifest.timeout - (compiled.seconds or 0.0)),
            limits=limits,
            archives=tuple(compiled.archives),
        )

    def _note(self, run: JobRun, news: Progress) -> None:
        """Write down which stage a job has reached; the writing must not hold the judge up."""
        if news.stage == run.stage:
            return
        loads_again = run.stage in STAGES_OF_LOADED and news.stage == Stage.LOAD
        run.stage = news.stage
        state = None if loads_again else STATE_OF_STAGE.get(Stage(news.stage))
        log.info("stage reached", action="stage", job=run.row.job_id, stage=news.stage)
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


def outcome_of(compiled: CompiledKernels) -> Outcome:
    """The outcome of a job that ended in the compile stage."""
    return Outcome(compiled.verdict, None, compiled.ends, None, None, compile_s=compiled.seconds)


def after_compiling(outcome: Outcome, compiled: CompiledKernels) -> Outcome:
    """The judge's outcome of a job that had been compiled: it says so."""
    if compiled.seconds is None or outcome.verdict is None:
        return outcome
    verdict = outcome.verdict
    told = {
        "compiled": True if verdict.compiled is None else verdict.compiled,
        "notes": (*verdict.notes, *compiled.notes),
    }
    return replace(outcome, verdict=verdict.model_copy(update=told), compile_s=compiled.seconds)


def _log_failure(task: asyncio.Future[bool]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("stage not recorded", action="advance_failed", reason=str(error))


def identity(row: JobRow, attempt: int) -> JobIdentity:
    """What results repeat from a row."""
    return JobIdentity(row.job_id, row.manifest_sha256 or "", attempt, row.labels)


def _queued_s(row: JobRow) -> float:
    """For people only: the clock may have been set meanwhile."""
    return max(0.0, time.time() - row.submitted_at)
