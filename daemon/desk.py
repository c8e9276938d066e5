"""The desk: spool and database, opened and put in order, with everything that works on both.

Opened and used in the clerk's thread only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from kbd.daemon.config import Limits, Settings
from kbd.daemon.database import open_database
from kbd.daemon.headroom import Headroom
from kbd.daemon.job_logs.archive import LogArchive, Retention
from kbd.daemon.publishing import Publishing
from kbd.daemon.reconcile import reconcile
from kbd.daemon.retrying import Retrying
from kbd.daemon.take_in import TakeIn
from kbd.daemon.upkeep import Upkeep
from kbd.inbox.control_reader import ControlReader
from kbd.inbox.epoch import fence_older
from kbd.inbox.intake import Intake
from kbd.inbox.lease import Lease
from kbd.inbox.probe import probe_folders
from kbd.inbox.scanner import Scanner
from kbd.inbox.spool import Spool
from kbd.inbox.strays import Strays
from kbd.inbox.tidying import remove_leftovers
from kbd.store.engine import fold_overgrown, reopen
from kbd.store.errors import StoreUnavailable
from kbd.store.history import History
from kbd.store.jobs import JobStore
from kbd.store.open_jobs import open_jobs
from kbd.store.readers import JobReader
from kbd.store.source import open_source


@dataclass(frozen=True)
class Desk:
    """What the clerk works with."""

    spool: Spool
    lease: Lease
    upkeep: Upkeep
    state: Path
    database: str
    engine: Engine
    store: JobStore
    scanner: Scanner
    take_in: TakeIn
    publishing: Publishing
    control: ControlReader
    retrying: Retrying
    logs: LogArchive
    retention: Retention
    history: History

    def tidy(self) -> int:
        """Remove what dead clients left in inbox and control/, and old logs; forget old jobs.

        Returns how much; raises OSError and StoreUnavailable.
        """
        abandoned = remove_leftovers(self.scanner.abandoned())
        forgotten = self.store.forget(self.history)
        fold_overgrown(self.engine)
        return abandoned + self.control.tidy() + self.logs.tidy(self.retention) + forgotten

    def adopt(self, limits: Limits) -> None:
        """Work by these limits from now on."""
        headroom = self.take_in.headroom
        headroom.queue_limit, headroom.min_free_bytes = limits.queue_limit, limits.min_free_bytes
        self.retention.days, self.retention.nbytes = limits.log_days, limits.log_bytes
        self.history.days, self.history.jobs = limits.history_days, limits.history_jobs

    @contextlib.contextmanager
    def reading(self) -> Iterator[JobReader]:
        """Look at the history as everybody else does. Raises StoreUnavailable and StoreCorrupt."""
        try:
            with open_source(self.state, self.database) as source:
                yield JobReader(source)
        except StoreUnavailable as error:
            reopen(self.engine, error)  # a reader's locks are the writer's, too
            raise

    def close(self) -> None:
        """Fold the write-ahead log into the database and let it go."""
        self.engine.dispose()


def open_spool(settings: Settings) -> Spool:
    """A spool that somebody named must exist; only the default one is created. Raises SpoolMissing and OSError."""
    if not settings.spool_named:
        return Spool.create(settings.spool)
    spool = Spool.open(settings.spool)
    spool.mend()
    return spool


def open_desk(settings: Settings, spool: Spool, lease: Lease, *, after_crash: bool = False) -> Desk:
    """Shut former owners out, try what the spool can do, open the database, reconcile.

    `after_crash`: the daemon before this one did not end by itself, so the database is checked.

    Raises SpoolUnfit and what the file system or the database raises.
    """
    epoch = lease.epoch_folder
    fence_older(spool, epoch)
    probe_folders(spool)
    engine = open_database(settings.state, settings.database, check=after_crash)
    try:
        return _order(settings, spool, lease, engine)
    except BaseException:
        engine.dispose()
        raise


def _order(settings: Settings, spool: Spool, lease: Lease, engine: Engine) -> Desk:
    """Make files and rows agree."""
    epoch = lease.epoch_folder
    store = JobStore(engine)
    intake = Intake(spool, epoch)
    scanner = Scanner(spool)
    publishing = Publishing(spool, lease, intake, store)
    room = _headroom(settings, spool, store)
    take_in = TakeIn(spool, scanner, Strays(epoch), intake, store, publishing, room)
    reconcile(spool, epoch, store, take_in, open_jobs(engine), max_attempts=settings.limits.max_attempts)
    return Desk(
        spool=spool,
        lease=lease,
        upkeep=Upkeep(spool, lease),
        state=settings.state,
        database=settings.database,
        engine=engine,
        store=store,
        scanner=scanner,
        take_in=take_in,
        publishing=publishing,
        control=ControlReader(spool),
        retrying=Retrying(spool, store),
        logs=LogArchive(settings.state),
        retention=Retention(settings.limits.log_days, settings.limits.log_bytes),
        history=History(settings.limits.history_days, settings.limits.history_jobs),
    )


def _headroom(settings: Settings, spool: Spool, store: JobStore) -> Headroom:
    limits = settings.limits
    return Headroom(
        store,
        (spool.root, settings.state),
        queue_limit=limits.queue_limit,
        min_free_bytes=limits.min_free_bytes,
    )
