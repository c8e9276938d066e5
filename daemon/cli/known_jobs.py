"""Whether a spool has ever heard of a job, wherever it is on its way."""

import enum
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from kbd.daemon.cli.errors import CommandFailed
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.place import Place
from kbd.inbox.names import is_ignored, is_owner, job_name
from kbd.inbox.spool import Spool, jobs_under

MANIFEST_LIMIT_BYTES: Final = 1 << 20
GUESSED: Final = 500
"""Among so many of the latest jobs one is looked for whose name is like the one that was typed."""


class Whereabouts(enum.StrEnum):
    """Where a job is that the database does not have; `UNSEEN`: in none of these, on its way between two."""

    INBOX = "inbox"
    CLAIMED = "claimed"
    OUTBOX = "outbox"
    UNSEEN = "unseen"


def require_known(place: Place, job_ids: Iterable[str]) -> None:
    """Raise CommandFailed (not found) for ids that belong to nothing here."""
    unknown = unknown_ids(place, job_ids)
    if unknown:
        hint = _declared(place, unknown[0]) or _guess(place, unknown[0])
        raise CommandFailed(
            f"no job here is called {', '.join(unknown)}: expected it in {place.spool_root} or in the database of "
            f"{place.state}.{hint} See what there is: kbd status",
            ExitCode.NOT_FOUND,
        )


def unknown_ids(place: Place, job_ids: Iterable[str]) -> list[str]:
    """The ids that nothing in the spool or the database belongs to.

    Jobs move inbox → claimed → database → outbox, and are looked for in this order, so that one that moves
    meanwhile is still met.
    """
    spool = place.spool()
    wanted = list(dict.fromkeys(job_ids))
    for known in (_delivered, _in_database, _published):
        if not wanted:
            break
        found = known(place, spool, frozenset(wanted))
        wanted = [job_id for job_id in wanted if job_id not in found]
    return wanted


def whereabouts(place: Place, job_ids: Iterable[str]) -> dict[str, Whereabouts]:
    """Where in the spool each of them is, in their order."""
    spool = place.spool()
    wanted = dict.fromkeys(job_ids, Whereabouts.UNSEEN)
    in_inbox = _named_so(inbox_jobs(spool), frozenset(wanted))
    in_claimed = _named_so(claimed_jobs(spool), frozenset(wanted))
    in_outbox = _published(place, spool, frozenset(wanted))
    for where, found in (
        (Whereabouts.INBOX, in_inbox),
        (Whereabouts.CLAIMED, in_claimed),
        (Whereabouts.OUTBOX, in_outbox),
    ):
        wanted |= dict.fromkeys(found, where)
    return wanted


def _declared(place: Place, name: str) -> str:
    """That a file is called so whose job has another id, where there is one."""
    from kbd.daemon.cli.lost_jobs import declared_instead

    with suppress(OSError):
        declared = declared_instead(place.spool(), [name])
        return f" The file delivered as {name} declares the id {declared[name]}." if declared else ""
    return ""


def _guess(place: Place, job_id: str) -> str:
    from difflib import get_close_matches

    from kbd.store.errors import StoreError
    from kbd.store.readers import JobReader
    from kbd.store.source import open_source

    with suppress(StoreError), open_source(place.state, place.database) as source:
        latest = [job.job_id for job in JobReader(source).list(limit=GUESSED)]
        close = get_close_matches(job_id, latest, n=2, cutoff=0.7)
        return f" Did you mean {' or '.join(close)}?" if close else ""
    return ""


def _delivered(_place: Place, spool: Spool, wanted: frozenset[str]) -> frozenset[str]:
    return _named_so(deliveries(spool), wanted)


def _named_so(paths: Iterable[Path], wanted: frozenset[str]) -> frozenset[str]:
    """The ids that these files have, by their names first, then by what they call themselves."""
    from kbd.inbox.job_id import intended_id

    paths = list(paths)
    by_name = wanted & {job_name(path.name) or "" for path in paths}
    if by_name == wanted:
        return by_name
    declared = {intended_id(path, limit_bytes=MANIFEST_LIMIT_BYTES) or "" for path in paths}
    return by_name | (wanted & declared)


def _in_database(place: Place, _spool: Spool, wanted: frozenset[str]) -> frozenset[str]:
    return remembered(place, wanted)


def remembered(place: Place, wanted: frozenset[str]) -> frozenset[str]:
    """Those of `wanted` that the database has; none where it cannot be read."""
    from kbd.store.errors import StoreError
    from kbd.store.readers import JobReader
    from kbd.store.source import open_source

    with suppress(StoreError), open_source(place.state, place.database) as source:
        return frozenset(row.job_id for row in JobReader(source).list(wanted))
    return frozenset()


def _published(_place: Place, spool: Spool, wanted: frozenset[str]) -> frozenset[str]:
    """By opening, and where that finds nothing by listing: some file systems remember that a name was not there."""
    from kbd.inbox.errors import UnsafeFile
    from kbd.inbox.result_files import OutboxLooks, read_published

    found = set()
    for job_id in wanted:
        with suppress(ValueError):
            try:
                is_there = read_published(spool, job_id) is not None
            except (UnsafeFile, PermissionError):
                is_there = True  # whoever reads it is told what is wrong
            if is_there:
                found.add(job_id)
    return frozenset(found if found == wanted else OutboxLooks(spool).appeared(wanted))


def deliveries(spool: Spool) -> Iterator[Path]:
    """Jobs in the inbox and under claimed/, so that one that moves meanwhile is still met."""
    yield from inbox_jobs(spool)
    yield from claimed_jobs(spool)


def inbox_jobs(spool: Spool) -> Iterator[Path]:
    """What lies in the inbox and its owners' folders to be claimed, in no order."""
    for entry in _entries(spool.inbox):
        if is_owner(entry.name) and entry.is_dir(follow_symlinks=False):
            yield from (Path(inner.path) for inner in _entries(Path(entry.path)))
        else:
            yield Path(entry.path)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        yield from (entry for entry in entries if not is_ignored(entry.name))


def claimed_jobs(spool: Spool) -> Iterator[Path]:
    """What lies under claimed/, of every epoch."""
    for epoch in _entries(spool.claimed):
        with suppress(FileNotFoundError):
            yield from (job.path for job in jobs_under(Path(epoch.path)))
