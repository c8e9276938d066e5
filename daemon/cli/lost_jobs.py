"""Ids that no result will ever come for, though something was called so when the waiting began.

A file's name is the job's id only where its document declares none: `a.yaml` with `id: b` is the job b, and whoever
waits for a would wait for ever.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from kbd.daemon.cli.errors import CommandFailed
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.known_jobs import MANIFEST_LIMIT_BYTES, deliveries, remembered, unknown_ids
from kbd.daemon.cli.place import Place
from kbd.daemon.cli.wording import counted
from kbd.inbox.errors import InboxError
from kbd.inbox.job_id import intended_id
from kbd.inbox.names import job_name
from kbd.inbox.spool import Spool, jobs_under

FILES_READ: Final = 1000
"""Where more files wait to be judged, nobody is lost for now: reading them would hold up the verdicts."""
_SHOWN_IDS: Final = 5


def lost_ids(place: Place, job_ids: Sequence[str]) -> frozenset[str]:
    """Those that nothing here has for its id, as far as can be told; none while the spool is away.

    What moves meanwhile may be overlooked: only who is lost at two looks is lost. The database is asked first,
    for it has nearly all of them, and files have to be read.
    """
    try:
        rest = frozenset(job_ids) - remembered(place, frozenset(job_ids))
        files = list(deliveries(place.spool())) if rest else []
        if not rest or len(files) > FILES_READ:
            return frozenset()
        return _called_otherwise(files, rest) | frozenset(unknown_ids(place, rest))
    except (InboxError, OSError):
        return frozenset()


def lost_jobs(place: Place, job_ids: Sequence[str]) -> CommandFailed:
    """That they are lost, and under which ids to ask for them where files tell. Raises InboxError and OSError."""
    shown = job_ids[:_SHOWN_IDS]
    declared = declared_instead(place.spool(), shown)
    told = [
        f"the file delivered as {job_id} declares the id {declared[job_id]}: "
        f"kbd wait{place.spool_flag} {declared[job_id]}"
        if job_id in declared
        else f"nothing in {place.spool_root} belongs to {job_id} any more"
        for job_id in shown
    ]
    rest = len(job_ids) - len(shown)
    told += [f"nor will there be results of {counted(rest, 'other job')}"] if rest else []
    return CommandFailed(f"no result will come: {'; '.join(told)}", ExitCode.NOT_FOUND)


def declared_instead(spool: Spool, names: Collection[str]) -> dict[str, str]:
    """The ids that files of these names declare, by name, wherever in the spool they lie. Raises OSError."""
    return _declared(_files_called(_everything(spool), names))


def _called_otherwise(files: Sequence[Path], names: Collection[str]) -> frozenset[str]:
    """Those names of files that declare other ids, unless another file declares that name."""
    otherwise = frozenset(_declared(_files_called(files, names)))
    return otherwise - {_id_of(path) for path in files} if otherwise else otherwise


def _files_called(files: Iterable[Path], names: Collection[str]) -> Iterator[Path]:
    return (path for path in files if job_name(path.name) in names)


def _declared(files: Iterable[Path]) -> dict[str, str]:
    """The ids that these files declare instead of their names, by name; the first of a name counts."""
    found: dict[str, str] = {}
    for path in files:
        name, declared = job_name(path.name), _id_of(path)
        if name is not None and declared is not None and declared != name:
            found.setdefault(name, declared)
    return found


def _id_of(path: Path) -> str | None:
    return intended_id(path, limit_bytes=MANIFEST_LIMIT_BYTES)


def _everything(spool: Spool) -> Iterator[Path]:
    """What waits, is worked on, was refused or is done, the latest days first."""
    yield from deliveries(spool)
    yield from (job.path for job in jobs_under(spool.quarantine))
    for day in sorted(spool.done.iterdir(), reverse=True):
        if day.is_dir():
            yield from (job.path for job in jobs_under(day))
