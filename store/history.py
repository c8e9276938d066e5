"""How much is remembered of jobs that are over; what is not published is never forgotten."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, select, true

from kbd.store.job_table import count, uncount
from kbd.store.models import Job
from kbd.store.states import FINAL

_DAY_S: Final = 86_400.0
BATCH: Final = 400
"""So many jobs are forgotten for one reason in one transaction: others want to write too."""


@dataclass(slots=True)
class History:
    """What is kept.

    Attributes:
        days: so long after its end a job is forgotten; 0: never.
        jobs: so many published jobs are kept, the latest.
    """

    days: int
    jobs: int


def forget_some(connection: Connection, history: History, now: float) -> int:
    """Forget a batch of the oldest jobs that nobody has to remember. Returns how many."""
    surplus = sum(count(connection, state) for state in FINAL) - history.jobs
    oldest = select(Job.sequence, Job.state, Job.status).where(Job.published == true()).order_by(Job.sequence)
    rows = list(connection.execute(oldest.limit(min(BATCH, surplus)))) if surplus > 0 else []
    if history.days > 0 and len(rows) < BATCH:
        over = oldest.where(Job.finished_at < now - history.days * _DAY_S)
        rows = list({row.sequence: row for row in (*rows, *connection.execute(over.limit(BATCH)))}.values())
    if rows:
        connection.execute(delete(Job).where(Job.sequence.in_([row.sequence for row in rows])))
    for row in rows:
        uncount(connection, row.state, row.status)
    return len(rows)
