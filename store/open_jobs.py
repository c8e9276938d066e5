"""The jobs that are not over: what a start has to make agree with the files it finds."""

from dataclasses import dataclass

from sqlalchemy import Engine, or_, select, text

from kbd.store.engine import transaction
from kbd.store.models import OWED, Job
from kbd.store.states import FINAL, JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenJob:
    """As much of a job as reconciling needs; without its texts, since there may be many thousands."""

    job_id: str
    state: JobState
    attempts: int
    manifest_sha256: str | None
    claimed_path: str | None
    labels: dict[str, str]


def open_jobs(engine: Engine) -> list[OpenJob]:
    """Every job that waits, runs, or whose result is not yet in the outbox, in order of arrival."""
    query = (
        select(Job.job_id, Job.state, Job.attempts, Job.manifest_sha256, Job.claimed_path, Job.labels)
        .where(or_(Job.state.not_in(sorted(FINAL)), text(OWED)))
        .order_by(Job.sequence)
    )
    with transaction(engine) as connection:
        return [OpenJob(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - public by SQLAlchemy's own documentation
