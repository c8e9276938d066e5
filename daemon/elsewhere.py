"""Results that the outbox holds and this database does not know.

They are of another owner of the spool, or of a history that was forgotten. An id has the result that lies in the
outbox, whoever put it there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import structlog

from kbd.inbox.errors import UnsafeFile
from kbd.inbox.result_files import read_published
from kbd.inbox.spool import Spool
from kbd.outbox.errors import UnreadableResult
from kbd.outbox.publisher import published_text
from kbd.outbox.result import JobResult
from kbd.store.jobs import JobStore
from kbd.store.states import JobState

log = structlog.get_logger(__name__)


class _Columns(TypedDict):
    status: str
    stage: str | None
    blame: str | None
    speedup: float | None
    error_message: str | None


@dataclass(frozen=True)
class FoundResult:
    """What was published for a job, and its text byte for byte."""

    result: JobResult
    text: str

    def is_of(self, manifest_sha256: str | None) -> bool:
        """Whether it is about these very bytes, rather than another job of the same id."""
        return self.result.manifest_sha256 == manifest_sha256


def is_published(spool: Spool, job_id: str) -> bool:
    """Whether the outbox has anything for a job that may be its result; quicker than to understand it."""
    try:
        return read_published(spool, job_id) is not None
    except (OSError, UnsafeFile):
        return False


def result_elsewhere(spool: Spool, job_id: str) -> FoundResult | None:
    """What the outbox has for a job that has no result here; None where it has nothing that can be read."""
    try:
        text = published_text(spool, job_id)
        return None if text is None else FoundResult(JobResult.from_json(text), text)
    except (OSError, UnreadableResult):
        return None


def finish_as_published(store: JobStore, job_id: str, found: FoundResult) -> None:
    """Make an open job final with the result that it has already."""
    store.finish(job_id, JobState(found.result.state), found.text, **_columns(found.result))
    log.info("was done elsewhere", action="done_elsewhere", job=job_id, status=found.result.status.value)


def adopt_published(store: JobStore, job_id: str, found: FoundResult) -> None:
    """Give a job that was judged twice its first result, in place of the one that could not be published."""
    store.adopt(job_id, JobState(found.result.state), found.text, **_columns(found.result))
    log.info("has a result of elsewhere", action="adopted", job=job_id, status=found.result.status.value)


def _columns(result: JobResult) -> _Columns:
    return {
        "status": result.status.value,
        "stage": result.stage.value if result.stage else None,
        "blame": result.blame.value if result.blame else None,
        "speedup": result.speedup,
        "error_message": result.error.message if result.error else None,
    }
