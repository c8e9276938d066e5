"""The result of a job, wherever it is by now."""

from typing import TYPE_CHECKING

from kbd.daemon.cli.errors import CommandFailed
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.place import Place

if TYPE_CHECKING:
    from kbd.outbox.result import JobResult


def find_result(place: Place, job_id: str) -> "JobResult | None":
    """The published result, or the one that the database still owes to the outbox."""
    from kbd.outbox.publisher import read_result

    try:
        published = read_result(place.spool(), job_id)
    except ValueError as error:
        raise CommandFailed(str(error), ExitCode.NOT_FOUND) from error
    return published or _find_unpublished(place, job_id)


def _find_unpublished(place: Place, job_id: str) -> "JobResult | None":
    from kbd.outbox.result import JobResult
    from kbd.store.errors import StoreError
    from kbd.store.readers import JobReader
    from kbd.store.source import open_source

    try:
        with open_source(place.state, place.database) as source:
            job = JobReader(source).get(job_id)
    except StoreError:
        return None
    return JobResult.from_json(job.result_text) if job is not None and job.result_text else None
