"""The result of a job that somebody cancelled."""

from __future__ import annotations

import time

from kbd.daemon.assembly import JobIdentity, environment_report
from kbd.daemon.job_run import JobRun
from kbd.inbox.control import ControlRequest
from kbd.outbox.circumstances import StageTimings
from kbd.outbox.report import ErrorReport
from kbd.outbox.result import JobResult
from kbd.outbox.verdict import EvaluationStatus, Stage, state_of


def cancelled_result(job: JobIdentity, run: JobRun | None, request: ControlRequest) -> JobResult:
    """Who ended it and at which stage; `run`: the attempt that is going on, if there is one."""
    status = EvaluationStatus.CANCELLED
    return JobResult(
        job_id=job.job_id,
        manifest_sha256=job.manifest_sha256 or None,
        attempt=job.attempt,
        labels=dict(job.labels),
        state=state_of(status),
        status=status,
        stage=Stage(run.stage) if run is not None else None,
        error=ErrorReport(type="Cancelled", message=_message(run, request)),
        environment=environment_report({}),
        timings_s=StageTimings(total=time.monotonic() - run.started if run is not None else None),
    )


def _message(run: JobRun | None, request: ControlRequest) -> str:
    when = "before it began" if run is None else "while it ran"
    why = f": {request.reason}" if request.reason else ""
    return f"by {request.by or 'somebody'}, {when}{why}"
