"""`kbd doctor --rebuild`: a database from what the files of the spool still tell.

::

    lock of the state folder ──► the database, if it is whole; else set aside and a new one
                             ──► jobs with a result, as outbox/, done/ and quarantine/ tell of them
                             ──► jobs of claimed/ are queued again, unless another daemon owns the spool

What is in the database already stays as it is, so doing it twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Engine

from kbd.daemon.claimant import claimant, is_gone
from kbd.daemon.config import Settings
from kbd.daemon.database import open_database
from kbd.daemon.doctor.remains import Remains, Unread
from kbd.daemon.ownership import StateLock
from kbd.inbox.lease import find_lease
from kbd.inbox.spool import Spool
from kbd.store.errors import StoreCorrupt, StoreNewer
from kbd.store.jobs import JobStore
from kbd.store.location import SQLITE, set_aside
from kbd.store.new_job import AddOutcome
from kbd.store.restoring import Restoring
from kbd.store.rows import JobRow

BATCH: Final = 400
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was done.

    Attributes:
        aside: where the database lies that could not be used; None: there was none.
        why_aside: what was wrong with it.
        restored: jobs with a result that were added.
        known: jobs with a result that were there already.
        queued: jobs of claimed/ that were queued.
        owner: another daemon that owns the spool, so that claimed/ was left to it.
        unread: files that tell nothing.
    """

    aside: Path | None
    why_aside: str | None
    restored: int
    known: int
    queued: int
    owner: str | None
    unread: tuple[Unread, ...]


def rebuild(settings: Settings) -> Rebuilt:
    """Restore what can be restored. Raises AlreadyRunning, SpoolMissing, StoreError and OSError."""
    spool = Spool.open(settings.spool)
    lock = StateLock(settings.lock)
    lock.acquire({"spool": str(settings.spool), "role": "rebuilding"})
    try:
        engine, aside, why_aside = _usable(settings)
        try:
            with Remains(spool) as remains:
                remains.collect()
                restored, known = _restore(engine, remains)
                owner = _other_owner(settings, spool)
                queued = _queue(engine, remains) if owner is None else 0
                unread = tuple(remains.unread)
        finally:
            engine.dispose()
    finally:
        lock.release()
    return Rebuilt(aside, why_aside, restored, known, queued, owner, unread)


def _usable(settings: Settings) -> tuple[Engine, Path | None, str | None]:
    """The database, or a new one in place of one that this kbd cannot use."""
    try:
        return open_database(settings.state, settings.database, check=True, new=True), None, None
    except (StoreCorrupt, StoreNewer) as error:
        if settings.database != SQLITE:
            raise  # a server's database is its administrator's
        why = str(error)
    aside = set_aside(settings.state)
    return open_database(settings.state, check=False, new=True), aside, why


def _restore(engine: Engine, remains: Remains) -> tuple[int, int]:
    """Add what is not known: before all others what came before all others, the rest after them."""
    restoring, total = Restoring(engine), remains.count()
    for some in _portions(remains.ids()):
        remains.leave_out(restoring.known(some))
    span, unknown = restoring.span(), remains.count()
    if span is None:
        rows = remains.finished(1)
    else:
        earlier = remains.count(before=span.first_arrival)
        _add(restoring, remains.finished(span.lowest - earlier, before=span.first_arrival))
        rows = remains.finished(span.highest + 1, since=span.first_arrival)
    _add(restoring, rows)
    return unknown, total - unknown


def _add(restoring: Restoring, rows: Iterable[JobRow]) -> None:
    for some in _portions(rows):
        restoring.add(some)


def _queue(engine: Engine, remains: Remains) -> int:
    store = JobStore(engine)
    outcomes = [outcome for some in _portions(remains.waiting()) for outcome in store.add(some)]
    return outcomes.count(AddOutcome.ADDED)


def _other_owner(settings: Settings, spool: Spool) -> str | None:
    """Who owns the spool and may be alive. The daemon of this state folder is not: its lock is ours."""
    found = find_lease(spool)
    if found is None or found.record is None:
        return None
    ours = claimant(settings.state, settings.limits.lease_s)
    return None if is_gone(found.record, ours) else found.holder


def _portions(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, BATCH)):
        yield some
