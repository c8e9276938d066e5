"""What may be removed to make room, by area, and which of it is old or too much.

Nothing in here is removed that its user still waits for: what is not published is not even listed.

::

    done        SPOOL/done/YYYYMMDD/…      by the end of the day (UTC)
    quarantine  SPOOL/quarantine/…         by when its reason was written
    logs        STATE/logs/jobs/ID/        by the last output
    cache       compiled kernels           by the last use

Ages in the spool are taken by the clock of its file system, those in the state folder by ours: the clocks of two
hosts are never compared.
"""

import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from kbd.backends.artifacts import ArtifactCache
from kbd.daemon.job_logs.archive import DAY_S, LogArchive
from kbd.inbox.durable import remove
from kbd.inbox.job_id import intended_id
from kbd.inbox.quarantine_contents import QuarantineContents, size_of
from kbd.inbox.renaming import DOCUMENT_LIMIT_BYTES
from kbd.inbox.spool import Spool, jobs_under


class Area(StrEnum):
    """Where things gather."""

    DONE = "done"
    LOGS = "logs"
    CACHE = "cache"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class Removable:
    """One thing: the paths that go together, in the order in which they go, its size and its age."""

    paths: tuple[Path, ...]
    nbytes: int
    age_s: float


IsOwed = Callable[[str], bool]
"""Whether the result of a job (by its id) has not been published yet."""


def done_jobs(spool: Spool, is_owed: IsOwed) -> Iterator[Removable]:
    """The files of published jobs, as old as the last one of their day may be. Raises OSError."""
    now = clock_of(spool)
    for day_folder in _days(spool.done):
        age_s = max(0.0, now - _end_of(day_folder.name))
        for job in jobs_under(day_folder):
            job_id = intended_id(job.path, limit_bytes=DOCUMENT_LIMIT_BYTES)
            if job_id is None or not is_owed(job_id):
                yield Removable((job.path,), size_of(job.path), age_s)


def quarantined(spool: Spool) -> Iterator[Removable]:
    """What lies in quarantine, with its reasons. Raises OSError."""
    now, contents = clock_of(spool), QuarantineContents(spool)
    for found in contents.all():
        paths = contents.paths(found)
        written = [path.lstat().st_mtime for path in reversed(paths) if os.path.lexists(path)]
        if written:
            yield Removable(paths, found.nbytes, now - written[0])


def job_logs(state: Path, is_owed: IsOwed) -> Iterator[Removable]:
    """The logs of published jobs. Raises OSError."""
    now = time.time()
    for job in LogArchive(state).jobs():
        if not is_owed(job.folder.name):
            yield Removable((job.folder,), job.nbytes, now - job.written_at)


def compiled_kernels(cache: ArtifactCache) -> Iterator[Removable]:
    """What is kept of compilers; it is made again when it is needed. Raises OSError."""
    now = time.time()
    for used_at, path, nbytes in cache.entries():
        yield Removable((path,), nbytes, now - used_at)


def superfluous(
    found: Iterable[Removable], *, older_than_s: float, max_bytes: int | None
) -> tuple[list[Removable], list[Removable]]:
    """Those to remove, and those to keep: the youngest, up to an age and to a size of all together."""
    gone: list[Removable] = []
    kept: list[Removable] = []
    total = 0
    for each in sorted(found, key=lambda one: one.age_s):
        total += each.nbytes
        too_much = max_bytes is not None and total > max_bytes
        (gone if each.age_s > older_than_s or too_much else kept).append(each)
    return gone, kept


def remove_all(found: Iterable[Removable], base: Path) -> Iterator[OSError]:
    """Remove them, and the folders below `base` that are empty then. Gives what could not be removed."""
    for each in found:
        try:
            for path in each.paths:
                remove(path)
        except OSError as error:
            yield error
            continue
        _remove_empty(each.paths[0].parent, base)


def clock_of(spool: Spool) -> float:
    """The time by the clock of the spool's file system: that of a file made just now. Raises OSError."""
    path = spool.control / f".{secrets.token_hex(8)}.tmp"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, b"\n")
        os.fsync(descriptor)
        return os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)


def _days(done: Path) -> list[Path]:
    with os.scandir(done) as entries:
        days = [Path(entry.path) for entry in entries if re.fullmatch(r"20\d{6}", entry.name)]
    return sorted(path for path in days if _is_day(path.name) and path.is_dir())


def _end_of(day: str) -> float:
    """When a day (YYYYMMDD, UTC) is over, in seconds since 1970. Raises ValueError."""
    return datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).timestamp() + DAY_S


def _is_day(name: str) -> bool:
    try:
        _end_of(name)
    except ValueError:
        return False
    return True


def _remove_empty(folder: Path, base: Path) -> None:
    """A folder that a daemon fills just now is not empty, and stays."""
    while folder != base and folder.is_relative_to(base):
        with suppress(OSError):
            folder.rmdir()
        folder = folder.parent
