"""Publishing what the database owes.

the spool is ours? → row → outbox → file of the job to done/ → marked as published
"""

from __future__ import annotations

import structlog

from kbd.daemon.elsewhere import adopt_published, result_elsewhere
from kbd.inbox.intake import Intake
from kbd.inbox.lease import Lease
from kbd.inbox.spool import Spool
from kbd.outbox.errors import PublishConflict
from kbd.outbox.publisher import publish
from kbd.store.jobs import JobStore
from kbd.store.rows import JobRow

log = structlog.get_logger(__name__)

MOST_FAILURES = 3
"""So many results that are refused in one batch are taken for an outbox that refuses all."""


class Publishing:
    """Brings final results to the outbox; doing it again is harmless."""

    def __init__(self, spool: Spool, lease: Lease, intake: Intake, store: JobStore) -> None:
        self._spool = spool
        self._lease = lease
        self._intake = intake
        self._store = store
        self._after: int | None = None
        """Where the next batch begins: one that failed has its next turn behind all others."""

    def publish_owed(self) -> int:
        """Publish a batch of what is owed. Returns how many.

        Raises OSError where the outbox refuses some of it (the others were published), SpoolMissing, and EpochLost
        when another daemon owns the spool.
        """
        rows = self._store.unpublished(after=self._after)
        if not rows and self._after is not None:
            rows = self._store.unpublished()
        failures: list[OSError] = []
        self._after = None
        for row in rows:
            try:
                self._publish(row)
            except OSError as error:
                failures.append(error)
                self._after = row.sequence
                if len(failures) == MOST_FAILURES:
                    break
        if failures:
            raise failures[0]
        return len(rows)

    def publish_one(self, job_id: str) -> None:
        """Publish one job's result now. Raises what `publish_owed` raises."""
        row = self._store.get(job_id)
        if row is not None and row.finished_at is not None and not row.published:
            self._publish(row)

    def _publish(self, row: JobRow) -> None:
        self._lease.require()
        try:
            publish(self._spool, row.job_id, row.result_text or "")
        except PublishConflict as error:
            # Somebody else's file, or a result of another life of this database: the first one stays.
            log.error(
                "outbox holds another result", action="publish_conflict", job=row.job_id, reason=str(error)
            )
            self._adopt(row)
        self._store.mark_published(row.job_id, self._file_away(row))
        log.info("published", action="published", job=row.job_id, status=row.status)

    def _adopt(self, row: JobRow) -> None:
        """Tell of a job what the outbox tells, where that is about the same job: another owner was quicker."""
        found = result_elsewhere(self._spool, row.job_id)
        if found is not None and found.is_of(row.manifest_sha256):
            adopt_published(self._store, row.job_id, found)

    def _file_away(self, row: JobRow) -> str | None:
        """Move the job's own file to done/; where it lies now, or None if it was not there to be moved."""
        path = self._spool.root / (row.claimed_path or "")
        if not path.is_relative_to(self._spool.claimed):
            return None  # none, or filed when it was published for the first time
        filed = self._intake.finish(path)
        return None if filed is None else str(filed.relative_to(self._spool.root))
