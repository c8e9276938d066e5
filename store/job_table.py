"""The statements behind `JobStore`, each inside a transaction that the caller holds.

What is asked for every job is put together once: that takes SQLAlchemy longer than SQLite takes to answer.
Parameters that could be taken for columns to be changed are called `of_…`.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, Table, bindparam, func, insert, select, update

from kbd.store.errors import UnknownJob
from kbd.store.models import Attempt, Base, Job, Label, Manifest, Result, Tally
from kbd.store.new_job import AddOutcome, NewJob, RejectedJob
from kbd.store.rows import AttemptRow, JobRow
from kbd.store.states import JobState

ERROR_MESSAGE_LIMIT_CHARS: Final = 500
_IDS_PER_QUERY: Final = 500  # well under the smallest limit of parameters, SQLite's old 999


def _table(model: type[Base]) -> Table:
    assert isinstance(model.__table__, Table)
    return model.__table__


_JOBS, _ATTEMPTS, _TALLIES, _MANIFESTS, _RESULTS = (
    _table(model) for model in (Job, Attempt, Tally, Manifest, Result)
)
_STANDING: Final = select(_JOBS.c.sequence, _JOBS.c.state, _JOBS.c.attempts).where(
    _JOBS.c.job_id == bindparam("job_id")
)
_DIGESTS: Final = select(_JOBS.c.job_id, _JOBS.c.manifest_sha256).where(
    _JOBS.c.job_id.in_(bindparam("some", expanding=True))
)
_INSERT_JOBS: Final = insert(_JOBS).returning(_JOBS.c.job_id, _JOBS.c.sequence, sort_by_parameter_order=True)
_INSERT_ATTEMPT, _INSERT_MANIFEST, _INSERT_RESULT = insert(_ATTEMPTS), insert(_MANIFESTS), insert(_RESULTS)
_UPDATE_JOB: Final = update(_JOBS).where(_JOBS.c.sequence == bindparam("of_sequence"))
_UPDATE_ATTEMPT: Final = update(_ATTEMPTS).where(
    _ATTEMPTS.c.job == bindparam("of_job"), _ATTEMPTS.c.number == bindparam("of_number")
)
_UPDATE_TALLY: Final = (
    update(_TALLIES)
    .where(_TALLIES.c.state == bindparam("of_state"), _TALLIES.c.status == bindparam("of_status"))
    .values(jobs=_TALLIES.c.jobs + bindparam("by"))
)
_COUNT: Final = select(func.coalesce(func.sum(_TALLIES.c.jobs), 0)).where(
    _TALLIES.c.state == bindparam("of_state")
)


class Standing(NamedTuple):
    """What decides whether a change of a job is possible."""

    sequence: int
    state: JobState
    attempts: int


def standing(connection: Connection, job_id: str) -> Standing:
    """Where a job stands. Raises UnknownJob."""
    found = connection.execute(_STANDING, {"job_id": job_id}).one_or_none()
    if found is None:
        raise UnknownJob(f"expected a job with id {job_id!r} in the database, found none")
    return Standing(*found)


def known_digests(connection: Connection, job_ids: Sequence[str]) -> dict[str, str | None]:
    """The manifest digests of those of the ids that belong to jobs already."""
    found: dict[str, str | None] = {}
    for some in _portions(job_ids):
        found.update((job_id, digest) for job_id, digest in connection.execute(_DIGESTS, {"some": some}))
    return found


def admit(known: dict[str, str | None], job_id: str, digest: str | None) -> AddOutcome:
    """Decide about one job to be added, and count it among the known ones if it is new."""
    if job_id not in known:
        known[job_id] = digest
        return AddOutcome.ADDED
    return AddOutcome.SAME if known[job_id] == digest else AddOutcome.CONFLICT


def insert_jobs(connection: Connection, jobs: Sequence[NewJob], now: float) -> None:
    """Queue jobs whose ids are free, in their order."""
    if not jobs:
        return
    values = [
        _new_row(job, now)
        | {"state": JobState.SUBMITTED, "priority": job.priority, "claimed_path": job.claimed_path}
        for job in jobs
    ]
    sequences = _insert_rows(connection, values)
    tally(connection, JobState.SUBMITTED, None, len(values))
    texts = [{"job": sequences[job.job_id], "text": job.manifest_text} for job in jobs]
    connection.execute(_INSERT_MANIFEST, texts)
    insert_labels(connection, jobs, sequences)


def insert_rejected(connection: Connection, rejected: RejectedJob, now: float) -> None:
    """Record a refusal under a free id, as a job that ended where it began."""
    values = _new_row(rejected, now) | {
        "state": rejected.state,
        "status": rejected.status,
        "stage": rejected.stage,
        "blame": rejected.blame,
        "claimed_path": rejected.claimed_path,
        "finished_at": now,
        "error_message": shortened(rejected.error_message),
    }
    sequences = _insert_rows(connection, [values])
    tally(connection, rejected.state, rejected.status, 1)
    insert_result(connection, sequences[rejected.job_id], rejected.result_text)
    insert_labels(connection, [rejected], sequences)


def insert_result(connection: Connection, sequence: int, text: str) -> None:
    """Keep the text that is to be published."""
    connection.execute(_INSERT_RESULT, {"job": sequence, "text": text})


def update_result(connection: Connection, sequence: int, text: str) -> None:
    """Put another text in place of the one that was to be published."""
    connection.execute(update(Result).where(Result.job == sequence).values(text=text))


def insert_attempt(connection: Connection, sequence: int, values: Mapping[str, Any]) -> None:
    """Record the beginning of an attempt."""
    connection.execute(_INSERT_ATTEMPT, {"job": sequence, **values})


def owe_again(connection: Connection, job_ids: Sequence[str]) -> None:
    """Publish the results of jobs once more, of those that have one."""
    for some in _portions(job_ids):
        is_final = Job.finished_at.is_not(None)
        connection.execute(update(Job).where(Job.job_id.in_(some), is_final).values(published=False))


def update_job(connection: Connection, sequence: int, values: Mapping[str, Any]) -> None:
    """Change one row of `jobs`."""
    connection.execute(_UPDATE_JOB, {"of_sequence": sequence, **values})


def change_state(
    connection: Connection, job: Standing, state: JobState, values: Mapping[str, Any] | None = None
) -> None:
    """Move a job that is not final to another state, together with other columns."""
    changed = {"state": state, **(values or {})}
    update_job(connection, job.sequence, changed)
    tally(connection, job.state, None, -1)
    tally(connection, state, changed.get("status"), 1)


def update_attempt(connection: Connection, job: Standing, values: Mapping[str, Any]) -> None:
    """Change the row of a job's latest attempt."""
    latest = {"of_job": job.sequence, "of_number": job.attempts}
    connection.execute(_UPDATE_ATTEMPT, {**latest, **values})


@functools.cache
def job_query() -> Select[Any]:
    """All columns of a JobRow; add conditions and order."""
    columns = [getattr(Job, name) for name in _JOB_COLUMNS]
    texts = [Manifest.text.label("manifest_text"), Result.text.label("result_text")]
    joined = select(*columns, *texts).outerjoin(Manifest, Manifest.job == Job.sequence)
    return joined.outerjoin(Result, Result.job == Job.sequence)


@functools.cache
def jobs_by_id() -> Select[Any]:
    """A `job_query` for the parameter `job_id`."""
    return job_query().where(Job.job_id == bindparam("job_id"))


@functools.cache
def jobs_by_sequence() -> Select[Any]:
    """A `job_query` for the parameter `sequences`, a list."""
    return job_query().where(Job.sequence.in_(bindparam("sequences", expanding=True)))


def column_values(row: JobRow) -> dict[str, Any]:
    """What of a row lies in `jobs` itself."""
    return {name: getattr(row, name) for name in _JOB_COLUMNS}


def job_rows(connection: Connection, query: Select[Any], **parameters: Any) -> list[JobRow]:
    """Run a `job_query`."""
    return [JobRow(**row) for row in connection.execute(query, parameters).mappings()]


def attempt_rows(connection: Connection, job: Standing) -> list[AttemptRow]:
    """The attempts at a job, the first one first."""
    columns = [getattr(Attempt, field.name) for field in fields(AttemptRow)]
    query = select(*columns).where(Attempt.job == job.sequence).order_by(Attempt.number)
    return [AttemptRow(**row) for row in connection.execute(query).mappings()]


def count(connection: Connection, state: JobState) -> int:
    """How many jobs are in a state, read from the tallies."""
    return int(connection.execute(_COUNT, {"of_state": state}).scalar_one())


def shortened(text: str | None) -> str | None:
    """A message as a list can show it: bounded, and without what databases cannot hold."""
    if text is None:
        return None
    clean = text.encode("utf-8", "replace").decode().replace("\0", "?")
    return clean if len(clean) <= ERROR_MESSAGE_LIMIT_CHARS else clean[: ERROR_MESSAGE_LIMIT_CHARS - 1] + "…"


_JOB_COLUMNS: Final = tuple(column.key for column in Job.__table__.columns)


def _portions(job_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (job_ids[start : start + _IDS_PER_QUERY] for start in range(0, len(job_ids), _IDS_PER_QUERY))


def _new_row(job: NewJob | RejectedJob, now: float) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "owner": job.owner,
        "priority": 0,
        "labels": dict(job.labels),
        "manifest_sha256": job.manifest_sha256,
        "attempts": 0,
        "submitted_at": now,
        "published": False,
    }


def _insert_rows(connection: Connection, values: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Insert into `jobs`; returns the sequence of each id."""
    return {row.job_id: row.sequence for row in connection.execute(_INSERT_JOBS, list(values))}


def tally(connection: Connection, state: JobState, status: str | None, by: int) -> None:
    """Count jobs into (or out of) a state and status; jobs get a status only when they end."""
    same = {"of_state": state, "of_status": status or "", "by": by}
    if connection.execute(_UPDATE_TALLY, same).rowcount == 0:
        connection.execute(insert(Tally).values(state=state, status=status or "", jobs=by))


def uncount(connection: Connection, state: JobState, status: str | None) -> None:
    """One job less in a state and status: it is forgotten."""
    tally(connection, state, status, -1)


def recount(connection: Connection, job: Standing, state: JobState, status: str) -> None:
    """A final job is about to have another state and status."""
    former = connection.execute(select(Job.status).where(Job.sequence == job.sequence)).scalar_one()
    uncount(connection, job.state, former)
    tally(connection, state, status, 1)


def insert_labels(
    connection: Connection, jobs: Sequence[NewJob | RejectedJob | JobRow], sequences: Mapping[str, int]
) -> None:
    """Keep the labels of new jobs for searches."""
    labels = [
        {"key": key, "value": shortened(value), "job": sequences[job.job_id]}
        for job in jobs
        for key, value in job.labels.items()
    ]
    if labels:
        connection.execute(insert(Label), labels)
