"""What `kbd gc` does: look through the areas, and remove what is old or too much."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kbd.backends.artifacts import ArtifactCache
from kbd.daemon.cli.place import Place
from kbd.daemon.config import resolve
from kbd.daemon.removable import (
    Area,
    IsOwed,
    Removable,
    compiled_kernels,
    done_jobs,
    job_logs,
    quarantined,
    remove_all,
    superfluous,
)
from kbd.inbox.errors import UnsafeFile
from kbd.inbox.result_files import read_published
from kbd.inbox.spool import Spool
from kbd.store.errors import StoreError
from kbd.store.readers import JobReader
from kbd.store.source import open_source


@dataclass(frozen=True)
class Cleared:
    """One area: what went (or would go), what stays, and what could not be removed."""

    area: Area
    gone: Sequence[Removable]
    kept: Sequence[Removable]
    failures: list[str] = field(default_factory=list)

    @property
    def gone_bytes(self) -> int:
        """Of all that went."""
        return sum(each.nbytes for each in self.gone)

    @property
    def kept_bytes(self) -> int:
        """Of all that stays."""
        return sum(each.nbytes for each in self.kept)


def make_room(
    place: Place, areas: Iterable[str], *, older_than_s: float, max_bytes: int | None, dry_run: bool
) -> list[Cleared]:
    """Clear areas one after the other; see `superfluous` for the rule. Raises OSError where one cannot be read."""
    cleared = []
    for area in map(Area, dict.fromkeys(areas)):
        found, base = _look(place, area)
        gone, kept = superfluous(found, older_than_s=older_than_s, max_bytes=max_bytes)
        failures = [] if dry_run else [str(error) for error in remove_all(gone, base)]
        cleared.append(Cleared(area, gone, kept, failures))
    return cleared


def _look(place: Place, area: Area) -> tuple[list[Removable], Path]:
    """What an area holds, and its folder."""
    spool = place.spool()
    if area is Area.CACHE:
        settings = resolve(place.spool_root, place.state).compilers
        return list(compiled_kernels(ArtifactCache(settings.cache, settings.cache_bytes))), settings.cache
    if area is Area.QUARANTINE:
        return list(quarantined(spool)), spool.quarantine
    is_owed = _owed(place, spool)
    if area is Area.LOGS:
        return list(job_logs(place.state, is_owed)), place.state / "logs" / "jobs"
    return list(done_jobs(spool, is_owed)), spool.done


def _owed(place: Place, spool: Spool) -> IsOwed:
    """By the database; on hosts that have none, a job counts as published where its result can be opened."""
    try:
        with open_source(place.state, place.database) as source:
            owed = frozenset(JobReader(source).unpublished())
    except StoreError:
        return lambda job_id: not _has_result(spool, job_id)
    return owed.__contains__


def _has_result(spool: Spool, job_id: str) -> bool:
    try:
        return read_published(spool, job_id) is not None
    except (UnsafeFile, ValueError):
        return False
