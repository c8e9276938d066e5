"""Which jobs a report is about, and everything that is known of them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kbd.daemon.cli.found_result import find_result
from kbd.daemon.cli.known_jobs import require_known
from kbd.inbox.errors import UnsafeFile
from kbd.outbox.errors import UnreadableResult
from kbd.store.errors import StoreMissing

if TYPE_CHECKING:
    from kbd.daemon.cli.place import Place
    from kbd.outbox.result import JobResult
    from kbd.store.job_filter import JobFilter
    from kbd.store.rows import JobDetail


@dataclass(frozen=True, slots=True)
class ReportedJob:
    """A job that has a result.

    Attributes:
        ended_at: Unix seconds; where the database is not on this host, when the result was published.
        manifest: what was asked for; None where that is not known here.
    """

    result: "JobResult"
    ended_at: float | None
    owner: str | None
    manifest: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class DamagedResult:
    """A result that is there and cannot be read: where it lies, and why."""

    job_id: str
    path: Path
    why: str


@dataclass(slots=True)
class Reported:
    """Those that have results, those whose results cannot be read, and how many have none yet."""

    jobs: list[ReportedJob] = field(default_factory=list)
    damaged: list[DamagedResult] = field(default_factory=list)
    unfinished: int = 0


def reported_jobs(place: "Place", job_ids: Sequence[str], wanted: "JobFilter", limit: int) -> Reported:
    """The latest jobs, the latest first, or those named. One that cannot be read keeps no other out.

    Raises CommandFailed for ids that belong to nothing, and StoreMissing where jobs are to be found by
    conditions and there is no database to find them in.
    """
    if job_ids:
        require_known(place, job_ids)
    reported = Reported()
    for job_id, detail in _remembered(place, job_ids, wanted, limit):
        try:
            job = _with_result(place, job_id, detail)
        except (UnreadableResult, UnsafeFile, PermissionError) as error:
            reported.damaged.append(_damaged(place, job_id, error))
            continue
        if job is None:
            reported.unfinished += 1
        else:
            reported.jobs.append(job)
    return reported


def _remembered(
    place: "Place", job_ids: Sequence[str], wanted: "JobFilter", limit: int
) -> list[tuple[str, "JobDetail | None"]]:
    from kbd.store.readers import JobReader
    from kbd.store.source import open_source

    try:
        with open_source(place.state, place.database) as source:
            reader = JobReader(source)
            listed = reader.matching(wanted, job_ids or None, limit=limit)
            details = {job.job_id: reader.get(job.job_id) for job in listed}
    except StoreMissing:
        if not job_ids:
            raise
        return [(job_id, None) for job_id in dict.fromkeys(job_ids)]
    if not job_ids or wanted.is_restrictive:
        return list(details.items())
    return [(job_id, details.get(job_id)) for job_id in dict.fromkeys(job_ids)]


def _with_result(place: "Place", job_id: str, detail: "JobDetail | None") -> ReportedJob | None:
    result = find_result(place, job_id)
    if result is None:
        return None
    if detail is None:
        return ReportedJob(result, _published_at(place, job_id), None, None)
    manifest = json.loads(detail.manifest_text) if detail.manifest_text else None
    return ReportedJob(result, detail.finished_at, detail.owner, manifest)


def _damaged(place: "Place", job_id: str, error: Exception) -> DamagedResult:
    from kbd.inbox.result_files import published_path

    path = published_path(place.spool(), job_id)
    match error:
        case PermissionError():
            why = error.strerror or str(error)
        case UnsafeFile():  # its hint is for whoever delivers a job
            why = str(error).removeprefix(f"{path.name}: ").partition(";")[0]
        case _:
            why = str(error).removeprefix(f"{path}: ")
    return DamagedResult(job_id, path, why)


def _published_at(place: "Place", job_id: str) -> float | None:
    from kbd.inbox.result_files import published_path

    try:
        return published_path(place.spool(), job_id).stat().st_mtime
    except OSError:
        return None


def devices_of(jobs: Iterable[ReportedJob]) -> list[str]:
    """The names of all devices, each once."""
    return list(dict.fromkeys(job.result.device.name for job in jobs if job.result.device is not None))
