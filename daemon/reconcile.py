"""Reconciling at start: files and rows of a daemon that stopped, however it stopped, are made to agree.

claimed, no row          → read and queued
row running, no process  → queued again while attempts are left, else `crashed`, in the stage that was recorded
row open, no file        → the result that another owner of the spool published meanwhile, else one that says so
final, unpublished       → published by the service's first round
half-written results     → removed
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from kbd.daemon.assembly import JobIdentity, refused, with_history
from kbd.daemon.elsewhere import finish_as_published, result_elsewhere
from kbd.daemon.take_in import BATCH, TakeIn
from kbd.inbox.claim import Taken
from kbd.inbox.spool import ClaimedPath, Spool, jobs_under
from kbd.inbox.tidying import remove_leftovers
from kbd.outbox.report import ErrorReport
from kbd.outbox.result import JobResult
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage
from kbd.store.jobs import JobStore
from kbd.store.open_jobs import OpenJob
from kbd.store.rows import COMPILER, AttemptRow
from kbd.store.states import RUNNING, JobState

log = structlog.get_logger(__name__)

OPEN = RUNNING | {JobState.SUBMITTED}
_TAKEOVER = re.compile(r"takeover-(\d+)")


@dataclass(frozen=True)
class Reconciled:
    """What was found and mended. `elsewhere`: jobs that another owner of the spool has done meanwhile."""

    read: int
    requeued: int
    given_up: int
    lost: int
    elsewhere: int


def reconcile(
    spool: Spool,
    epoch_folder: Path,
    store: JobStore,
    take_in: TakeIn,
    unfinished: Iterable[OpenJob],
    *,
    max_attempts: int,
) -> Reconciled:
    """Make files and rows agree. Nothing runs yet when this is called."""
    _remove_half_written(spool.outbox_tmp)
    files = {_home(file.path.relative_to(spool.root)): file for file in jobs_under(epoch_folder)}
    requeued = given_up = lost = elsewhere = 0
    for job in unfinished:
        file = files.pop(_home(Path(job.claimed_path)), None) if job.claimed_path else None
        if file is None and _was_done_elsewhere(spool, store, job):
            elsewhere += 1
            continue
        if file is None:
            lost += _finish_lost(store, job)
            continue
        _relocate(spool, store, job, file)
        if job.state in RUNNING and job.attempts >= max_attempts:
            _give_up(store, job)
            given_up += 1
        elif job.state in RUNNING:
            store.requeue(job.job_id, "the daemon ended while the job ran")
            requeued += 1
    read = _read(take_in, [Taken(file.path, file.owner) for file in files.values()])
    found = Reconciled(read, requeued, given_up, lost, elsewhere)
    log.info("reconciled", action="reconciled", **vars(found))
    return found


def _read(take_in: TakeIn, taken: Sequence[Taken]) -> int:
    """Read what has no rows, a batch at a time: of an owner with another database it may be a whole queue."""
    batches = (taken[start : start + BATCH] for start in range(0, len(taken), BATCH))
    return sum(len(take_in.admit(batch)) for batch in batches)


def _home(path: Path) -> tuple[str, ...]:
    """The place of a claimed file under the epoch that first claimed it: takeovers move it, but not this."""
    _claimed, epoch, *rest = path.parts
    while rest and (takeover := _TAKEOVER.fullmatch(rest[0])):
        epoch = takeover[1]
        rest = rest[1:]
    return (epoch, *rest)


def _relocate(spool: Spool, store: JobStore, job: OpenJob, file: ClaimedPath) -> None:
    path = str(file.path.relative_to(spool.root))
    if path != job.claimed_path:
        store.relocate(job.job_id, path)


def _was_done_elsewhere(spool: Spool, store: JobStore, job: OpenJob) -> bool:
    """Whether the outbox has a result of this open job, which is its result then."""
    if job.state not in OPEN or (found := result_elsewhere(spool, job.job_id)) is None:
        return False
    finish_as_published(store, job.job_id, found)
    return True


def _finish_lost(store: JobStore, job: OpenJob) -> bool:
    """Give a job without a file its result. False: it needs none, and nothing is lost."""
    if job.state not in OPEN:
        return False  # final and on its way to done/: the file had been filed, the mark was not yet made
    error = ErrorReport(
        type="Lost",
        message="its file was deleted from claimed/ while the job was waiting or running",
        hint="deliver it again under a new id, and leave claimed/ to the daemon",
    )
    status, blame = EvaluationStatus.HARNESS_ERROR, Blame.HARNESS
    _finish(store, refused(_identity(job), status, blame, Stage.INTAKE, error))
    return True


def _give_up(store: JobStore, job: OpenJob) -> None:
    """Nobody saw why its processes died with the daemon, so no kernel is blamed for it."""
    attempts = store.attempts(job.job_id)
    stage = _stage_of(attempts[-1])
    error = ErrorReport(
        type="TooManyAttempts",
        message=f"the daemon died {job.attempts} times while this job ran, the last time in stage {stage}",
        hint="run it alone with `kbd run --once`, and look at the daemon's log and the host's",
    )
    result = refused(_identity(job), EvaluationStatus.CRASHED, Blame.HARNESS, stage, error)
    _finish(store, with_history(result, attempts))


def _stage_of(attempt: AttemptRow) -> Stage:
    """How far an attempt had come that nobody ended."""
    if attempt.state is JobState.COMPILING:
        return Stage.COMPILE if attempt.device == COMPILER else Stage.LOAD
    return Stage.CORRECTNESS if attempt.state is JobState.VALIDATING else Stage.TIMING


def _identity(job: OpenJob) -> JobIdentity:
    return JobIdentity(job.job_id, job.manifest_sha256 or "", job.attempts, job.labels)


def _finish(store: JobStore, result: JobResult) -> None:
    store.finish(
        result.job_id,
        JobState(result.state),
        result.to_json(),
        result.status.value,
        stage=result.stage.value if result.stage else None,
        blame=result.blame.value if result.blame else None,
        error_message=result.error.message if result.error else None,
    )


def _remove_half_written(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        remove_leftovers(Path(entry.path) for entry in entries if not entry.is_dir(follow_symlinks=False))
