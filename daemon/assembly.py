"""One attempt's outcome, turned into the result that users read.

The judge knows what it saw on the runners' channels; the daemon knows how the processes ended and what they
printed. Both are put together here, and nowhere else.
"""

from __future__ import annotations

import platform
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kbd.daemon.executor.local import Outcome
from kbd.daemon.executor.process import FLOOD_BYTES
from kbd.daemon.executor.protocol import Progress, Role
from kbd.daemon.executor.runner_process import RunnerEnd
from kbd.daemon.executor.sandbox.isolation import Isolation
from kbd.daemon.judge.verdict import Verdict
from kbd.daemon.memory_loss import explained
from kbd.daemon.version import kbd_version
from kbd.outbox.circumstances import EnvironmentReport, StageTimings
from kbd.outbox.report import ErrorReport, Logs
from kbd.outbox.result import JobResult, WorkloadResult
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage, state_of
from kbd.store.rows import AttemptRow

OUTPUT_SHOWN_CHARS = 4_000
CRASH_HINTS: Mapping[int, str] = {
    signal.SIGSEGV: "the kernel touched memory that is not its own; run it under compute-sanitizer or gdb",
    signal.SIGBUS: "the kernel touched memory that is not its own; run it under compute-sanitizer or gdb",
    signal.SIGABRT: "a library aborted; the log holds its last words",
    signal.SIGFPE: "an integer was divided by zero",
    signal.SIGKILL: "the system killed it, most likely for lack of memory",
}


@dataclass(frozen=True)
class JobIdentity:
    """What the result repeats from the job."""

    job_id: str
    manifest_sha256: str
    attempt: int
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Times:
    """Seconds on the daemon's own clock."""

    queued: float
    total: float
    compile: float | None = None


def result_of(
    job: JobIdentity,
    outcome: Outcome,
    times: Times,
    environment: Mapping[str, str | None],
    isolation: Isolation | None,
) -> JobResult:
    """The result of an attempt that came to an end, with a verdict or without."""
    verdict = outcome.verdict or _verdict_without_judge(outcome)
    if verdict.lost is not None and verdict.lost in outcome.runners:
        limit_bytes = isolation.settings.bounds.memory_bytes if isolation is not None else None
        verdict = explained(verdict, outcome.runners[verdict.lost], limit_bytes)
    fields = {name: getattr(verdict, name) for name in Verdict.model_fields if name in JobResult.model_fields}
    fields["error"] = _error_of(verdict, outcome.runners)
    fields["device"] = verdict.device or outcome.device
    fields["interpreted"] = _is_interpreted(verdict.workloads)
    return JobResult(
        job_id=job.job_id,
        manifest_sha256=job.manifest_sha256,
        attempt=job.attempt,
        labels=dict(job.labels),
        state=state_of(verdict.status),
        environment=environment_report(environment),
        isolation=isolation.report() if isolation is not None else None,
        timings_s=StageTimings(
            queued=times.queued,
            compile=times.compile,
            load=verdict.timings.load,
            correctness=verdict.timings.correctness,
            timing=verdict.timings.timing,
            total=times.total,
        ),
        logs=_logs(outcome.runners),
        **fields,
    )


def refused(
    job: JobIdentity,
    status: EvaluationStatus,
    blame: Blame,
    stage: Stage,
    error: ErrorReport,
    *,
    queued: float | None = None,
) -> JobResult:
    """The result of a job that never ran."""
    return JobResult(
        job_id=job.job_id,
        manifest_sha256=job.manifest_sha256 or None,
        attempt=job.attempt,
        labels=dict(job.labels),
        state=state_of(status),
        status=status,
        stage=stage,
        blame=blame,
        error=error,
        environment=environment_report({}),
        timings_s=StageTimings(queued=queued),
    )


def with_history(result: JobResult, attempts: Iterable[AttemptRow]) -> JobResult:
    """The result of the last attempt, with a note on how many there were and why each failed."""
    reasons = [f"attempt {row.number} on {row.device}: {row.outcome}" for row in attempts if row.outcome]
    count = result.attempt
    note = f"given up after {count} attempts" if count > 1 else "given up after 1 attempt"
    text = "; ".join([note, *reasons])
    return JobResult.model_validate(dict(result) | {"notes": (*result.notes, text)})


def environment_report(versions: Mapping[str, str | None]) -> EnvironmentReport:
    """Versions as the nursery told them; this process imports none of those packages."""
    return EnvironmentReport(
        host=platform.node(),
        kbd=kbd_version(),
        python=versions.get("python") or platform.python_version(),
        torch=versions.get("torch"),
        triton=versions.get("triton"),
        cuda=versions.get("cuda"),
        nvcc=versions.get("nvcc"),
    )


def _verdict_without_judge(outcome: Outcome) -> Verdict:
    """The judge died or stalled. Whoever it was waiting for is named in the message, not blamed."""
    progress = outcome.last_progress
    waiting = f" while waiting for the {progress.role}" if progress and progress.role else ""
    return Verdict(
        status=EvaluationStatus.HARNESS_ERROR,
        stage=_stage_of(progress),
        blame=Blame.HARNESS,
        error=ErrorReport(type="JudgeFailed", message=f"{outcome.failure or 'no verdict'}{waiting}"),
    )


def _is_interpreted(workloads: Iterable[WorkloadResult]) -> bool:
    """Whether the times of any workload are those of an interpreter."""
    return any(
        workload.performance is not None and workload.performance.interpreted for workload in workloads
    )


def _stage_of(progress: Progress | None) -> Stage:
    return Stage(progress.stage) if progress else Stage.LOAD


def _error_of(verdict: Verdict, runners: Mapping[Role, RunnerEnd]) -> ErrorReport | None:
    """The judge's error; where a runner died by itself, how it died and what it printed last."""
    error = verdict.error
    if verdict.lost is None or error is None or verdict.lost not in runners:
        return error
    end = runners[verdict.lost]
    if end.flooded:
        return ErrorReport(
            type="OutputFlood",
            message=f"the {verdict.lost} printed more than {FLOOD_BYTES >> 20} MiB and was killed",
            hint="print less; the log keeps the beginning and the end",
        )
    how = str(end.exit) if end.natural else "closed its channel to the judge"
    hint = CRASH_HINTS.get(end.exit.signal) if end.natural and end.exit and end.exit.signal else None
    return ErrorReport(
        type=error.type,
        message=f"the {verdict.lost}'s process ended before it answered: {how}",
        hint=error.hint if verdict.lost == "reference" else hint,
        traceback_tail=end.output[-OUTPUT_SHOWN_CHARS:] or None,
    )


def _logs(runners: Mapping[Role, RunnerEnd]) -> Logs:
    candidate, reference = runners.get("candidate"), runners.get("reference")
    return Logs.of(
        candidate.output if candidate else "",
        reference.output if reference else "",
        truncated=any(end.truncated for end in runners.values()),
    )
