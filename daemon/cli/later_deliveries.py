"""Deliveries under an id that another job has already: nobody judges them, and whoever asks for the id is told.

::

    inbox/, claimed/ ──other bytes than the result is about──► will be refused
    quarantine/      ──refused────────────────────────────────► lies there
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from kbd.daemon.cli.known_jobs import deliveries
from kbd.daemon.cli.place import Place
from kbd.daemon.cli.printable import one_line
from kbd.inbox.names import job_name
from kbd.inbox.spool import Spool

if TYPE_CHECKING:
    from kbd.outbox.result import JobResult

_FOR_GOOD: Final = "an id has one result for good"


def say_later_deliveries(place: Place, digests: Mapping[str, str | None]) -> None:
    """A line on stderr for each id with a delivery that its result is not about. Looks at files alone.

    Args:
        place: whose spool.
        digests: what the result of each id is about (`manifest_sha256`); None where it could not be read, or
            there is no result.
    """
    spool = place.spool()
    with suppress(OSError):  # of another user: what this one may not see is told by nobody
        said = dict(_on_their_way(spool, digests)) | dict(_in_quarantine(spool, digests))
        for job_id in digests:
            if job_id in said:
                click.echo(f"{job_id}: {said[job_id]}", err=True)


def say_later_than(place: Place, results: "Iterable[JobResult]") -> None:
    """The same, for results that were just shown."""
    say_later_deliveries(place, {result.job_id: result.manifest_sha256 for result in results})


def published_digests(place: Place, job_ids: Iterable[str]) -> dict[str, str | None]:
    """What the published results of these jobs are about; None where there is none that can be read."""
    spool = place.spool()
    return {job_id: _published_digest(spool, job_id) for job_id in job_ids}


def _published_digest(spool: Spool, job_id: str) -> str | None:
    from kbd.inbox.errors import InboxError
    from kbd.inbox.result_files import read_published

    with suppress(OSError, ValueError, InboxError):
        result = json.loads(read_published(spool, job_id) or b"{}")
        digest = result.get("manifest_sha256") if isinstance(result, dict) else None
        return digest if isinstance(digest, str) else None
    return None


def _on_their_way(spool: Spool, digests: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    for path in deliveries(spool):
        job_id = job_name(path.name) or ""
        if digests.get(job_id) is not None and _digest_of(path) not in (digests[job_id], None):
            yield (
                job_id,
                (
                    f"a later delivery of this id with other content is in the inbox and will not be judged: "
                    f"{_FOR_GOOD}. Deliver it under another id: another file name, or the field `id`"
                ),
            )


def _digest_of(path: Path) -> str | None:
    """Of what it is read from; empty for what is no job, None for what is gone."""
    from kbd.inbox.errors import InboxError
    from kbd.inbox.job_file import read_job

    try:
        return read_job(path).sha256
    except InboxError:
        return ""
    except OSError:
        return None


def _in_quarantine(spool: Spool, digests: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    if not os.listdir(spool.quarantine):
        return  # so mostly, and before anything slow is imported
    from kbd.inbox.quarantine_contents import QuarantineContents

    for job_id, found in QuarantineContents(spool).meant_for(frozenset(digests)):
        if found.is_conflict or digests[job_id] is not None:
            name = one_line(found.name)
            yield (
                job_id,
                (
                    f"a later delivery of this id with other content lies in quarantine and was not judged: "
                    f"{_FOR_GOOD}. Deliver it under another id, or: kbd quarantine release {name} --id NEW "
                    f"(what was wrong: kbd quarantine show {name})"
                ),
            )
