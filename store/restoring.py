"""Putting jobs into the database that ended in an earlier one, as files tell of them."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Engine, func, insert, select, text

from kbd.store import job_table
from kbd.store.engine import transaction
from kbd.store.models import Job, Manifest, Result
from kbd.store.rows import JobRow

# SQLite gives the next job the number after the highest one by itself.
_GO_ON_AFTER: Final = (
    "SELECT setval(pg_get_serial_sequence('jobs', 'sequence'), greatest(max(sequence), 1)) FROM jobs"
)


class Span(NamedTuple):
    """The numbers that are taken, from the lowest to the highest, and when the first of these jobs arrived."""

    lowest: int
    highest: int
    first_arrival: float


class Restoring:
    """Adds jobs that are over. Nothing that is there is changed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def span(self) -> Span | None:
        """What is there; None: nothing."""
        query = select(func.min(Job.sequence), func.max(Job.sequence), func.min(Job.submitted_at))
        with transaction(self._engine) as connection:
            lowest, highest, first_arrival = connection.execute(query).one()
        return None if lowest is None else Span(lowest, highest, first_arrival)

    def known(self, job_ids: Sequence[str]) -> Collection[str]:
        """Those of the ids that belong to jobs already."""
        with transaction(self._engine) as connection:
            return job_table.known_digests(connection, job_ids).keys()

    def add(self, rows: Sequence[JobRow]) -> None:
        """Add jobs whose ids and numbers (`sequence`) are free, in one transaction."""
        if not rows:
            return
        sequences = {row.job_id: row.sequence for row in rows}
        with transaction(self._engine) as connection:
            connection.execute(insert(Job), [job_table.column_values(row) for row in rows])
            for table, values in ((Manifest, _manifests(rows)), (Result, _results(rows))):
                if values:
                    connection.execute(insert(table), values)
            job_table.insert_labels(connection, rows, sequences)
            for (state, status), jobs in Counter((row.state, row.status) for row in rows).items():
                job_table.tally(connection, state, status, jobs)
            if connection.dialect.name == "postgresql":
                connection.execute(text(_GO_ON_AFTER))


def _manifests(rows: Sequence[JobRow]) -> list[dict[str, int | str]]:
    return [{"job": row.sequence, "text": row.manifest_text} for row in rows if row.manifest_text is not None]


def _results(rows: Sequence[JobRow]) -> list[dict[str, int | str]]:
    return [{"job": row.sequence, "text": row.result_text} for row in rows if row.result_text is not None]
