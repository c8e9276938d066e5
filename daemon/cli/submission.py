"""Handing jobs in: everything that can be said against a file is said before anything is delivered."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kbd.daemon.cli.errors import CommandFailed
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.findings import examine, print_doubts
from kbd.daemon.cli.job_sources import JobSource
from kbd.daemon.cli.place import Place


@dataclass(frozen=True, slots=True)
class Submission:
    """A file that is a valid job: where it lies, what it will be called in the inbox, its id and digest."""

    source: Path
    name: str
    job_id: str
    sha256: str


def read_submissions(sources: Sequence[JobSource]) -> list[Submission]:
    """Check all files. Raises CommandFailed with everything that is wrong with any of them."""
    read = [_read(source) for source in sources]
    complaints = [entry for entry in read if isinstance(entry, str)]
    submissions = [entry for entry in read if isinstance(entry, Submission)]
    complaints += _same_id_twice(submissions)
    if complaints:
        summary = "Nothing was submitted: correct this and submit again."
        raise CommandFailed("\n".join([*complaints, summary]), ExitCode.REJECTED)
    return submissions


def require_free_ids(place: Place, submissions: Iterable[Submission]) -> None:
    """Refuse jobs whose id belongs to other bytes already. The first job of an id keeps it for good.

    The same bytes again are welcome: nothing runs twice, and the result is published again.

    Raises CommandFailed naming all of them.
    """
    taken = [entry.job_id for entry in submissions if not _is_free(place, entry)]
    if taken:
        ids = ", ".join(taken)
        raise CommandFailed(
            f"another job has this id already: {ids}. Its result stays; give yours another id (the field `id`, "
            "or another file name). Nothing was submitted.",
            ExitCode.REJECTED,
        )


def deliver_all(place: Place, submissions: Iterable[Submission]) -> Iterable[str]:
    """Put the jobs into the inbox, one after the other; their ids, each as soon as it is durable there."""
    from kbd.inbox.delivery import UndeliverableJob, deliver

    spool = place.spool()
    for submission in submissions:
        try:
            yield deliver(submission.source, spool, submission.name)
        except UndeliverableJob as error:
            raise CommandFailed(f"{submission.source}: {error}", ExitCode.REJECTED) from error


def _read(source: JobSource) -> "Submission | str":
    found = examine(source.path, source.shown)
    if found.job is None:
        return found.complaint()
    print_doubts(found)
    return Submission(source.path, source.path.name, found.job.job_id, found.job.sha256)


def _same_id_twice(submissions: Iterable[Submission]) -> list[str]:
    counts = Counter(entry.job_id for entry in submissions)
    return [
        f"{number} of these files have the id {job_id}: each needs its own"
        for job_id, number in counts.items()
        if number > 1
    ]


def _is_free(place: Place, submission: Submission) -> bool:
    known = [*_digest_published(place, submission.job_id), *_digest_remembered(place, submission.job_id)]
    return all(digest == submission.sha256 for digest in known)


def _digest_published(place: Place, job_id: str) -> list[str | None]:
    """The digest of the published job, if there is one: a list of one or none, as None is a digest too."""
    from kbd.outbox.publisher import read_result

    result = read_result(place.spool(), job_id)
    return [] if result is None else [result.manifest_sha256]


def _digest_remembered(place: Place, job_id: str) -> list[str | None]:
    """The same from the database, which knows jobs that are not published yet."""
    from kbd.store.errors import StoreError
    from kbd.store.readers import JobReader
    from kbd.store.source import open_source

    try:
        with open_source(place.state, place.database) as source:
            job = JobReader(source).get(job_id)
    except StoreError:
        return []  # another host's, or no daemon has ever run: intake will decide
    return [] if job is None else [job.manifest_sha256]
