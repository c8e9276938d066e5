"""Who is next: priority first, then turns between owners, then order of arrival."""

import functools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Final, NamedTuple

from sqlalchemy import Connection, TextClause, func, select, text

from kbd.store.models import QUEUED, Job
from kbd.store.states import RUNNING

NOBODY: Final[Mapping[str, int]] = MappingProxyType({})
_RUNNING_BY_OWNER: Final = (
    select(Job.owner, func.count().label("jobs")).where(Job.state.in_(sorted(RUNNING))).group_by(Job.owner)
)


class QueuedJob(NamedTuple):
    """As much of a queued job as decides its turn."""

    sequence: int
    job_id: str
    owner: str
    priority: int


def next_in_line(
    connection: Connection,
    limit: int,
    exclude: Collection[str],
    resting: Collection[str] = frozenset(),
    served: Mapping[str, int] = NOBODY,
) -> list[int]:
    """The `sequence` of the jobs to run next, first one first.

    Within one priority owners take turns. Jobs that run and jobs in `exclude` (taken, not yet begun) have
    used up turns of their owners; those in `resting` have not. Of owners with equally many turns the one comes
    first who has waited longest: the lowest number in `served`, or none.
    """
    depth = limit + len(exclude) + len(resting)
    found = connection.execute(_heads(connection.dialect.name), {"depth": depth})
    heads = [job for job in (QueuedJob(*row) for row in found) if job.job_id not in resting]
    turns = _running_by_owner(connection) + Counter(job.owner for job in heads if job.job_id in exclude)
    waiting = [job for job in heads if job.job_id not in exclude]
    return [job.sequence for _, job in sorted(_with_turns(waiting, turns, served))[:limit]]


@functools.cache
def _heads(dialect: str) -> TextClause:
    """The query for the first `depth` jobs of each owner, reading nothing else however long the queue is.

    `owners` hops from owner to owner through the index `jobs_queue`; the inner select reads the beginning of
    each one's part. Left alone, SQLite would read all queued jobs through another index at every hop.
    """
    queued = "jobs INDEXED BY jobs_queue" if dialect == "sqlite" else "jobs"
    return text(
        f"""
        WITH RECURSIVE owners(owner) AS (
            SELECT min(jobs.owner) FROM {queued} WHERE {QUEUED}
            UNION ALL
            SELECT (SELECT min(jobs.owner) FROM {queued} WHERE {QUEUED} AND jobs.owner > owners.owner)
            FROM owners WHERE owners.owner IS NOT NULL
        )
        SELECT jobs.sequence, jobs.job_id, jobs.owner, jobs.priority
        FROM owners JOIN jobs ON jobs.sequence IN (
            SELECT jobs.sequence FROM {queued} WHERE {QUEUED} AND jobs.owner = owners.owner
            ORDER BY jobs.priority DESC, jobs.sequence LIMIT :depth
        )
        """  # noqa: S608 - made of constants of this package
    )


def _with_turns(
    jobs: Sequence[QueuedJob], taken: Counter[str], served: Mapping[str, int]
) -> Iterator[tuple[tuple[int, int, int, int], QueuedJob]]:
    """Pair each job with its place in line: (falling priority, turn of its owner, last turn, arrival)."""

    def group(job: QueuedJob) -> tuple[int, str]:
        return -job.priority, job.owner

    for (falling, owner), members in groupby(
        sorted(jobs, key=lambda job: (*group(job), job.sequence)), group
    ):
        for turn, job in enumerate(members, start=taken[owner]):
            yield (falling, turn, served.get(owner, 0), job.sequence), job


def _running_by_owner(connection: Connection) -> Counter[str]:
    return Counter({row.owner: row.jobs for row in connection.execute(_RUNNING_BY_OWNER)})
