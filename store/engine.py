"""The writer's side of the database: connections, and the way from any older revision to this one.

There is one writing connection in the world, the daemon's. SQLite from 3.7.0 to 3.51.2 can corrupt a WAL
when two connections write or checkpoint at the same moment; with one writer and read-only readers
(`kbd.store.sqlite_file`) that cannot happen. Importing this module is slow (SQLAlchemy); Alembic, slower
still, is imported only to migrate.
"""

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from kbd.store import postgresql
from kbd.store.errors import StoreCorrupt, StoreError, StoreNewer, StoreUnavailable
from kbd.store.location import REBUILD, SQLITE, database_path, fsync_name

log = logging.getLogger(__name__)

MIGRATIONS: Final = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_S: Final = 10.0
WAL_LIMIT_BYTES: Final = 64 << 20
"""Checkpoints, every 4 MiB, let the write-ahead log begin anew; only one big transaction makes it as large."""

_BARE: Final = "kbd_without_transaction"
_DAMAGED: Final = ("malformed", "not a database")
_WAY_OUT: Final = (
    f"then `{REBUILD}` sets the file aside and makes a new one from the results and manifests in the spool"
)


def open_writer(state_dir: Path, database: str = SQLITE) -> Engine:
    """The engine of the single writer, with exactly one connection. Creates folder and file where missing.

    Call `migrate` before anything else. Dispose of the engine when done: the last connection that closes
    folds the WAL into the database.

    Args:
        state_dir: where the file lies, if it is SQLite.
        database: `sqlite`, or the URL of a PostgreSQL database.
    """
    if database != SQLITE:
        return postgresql.open_engine(database)
    state_dir.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        f"sqlite:///{database_path(state_dir)}",
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def migrate(engine: Engine, *, scripts: Path = MIGRATIONS) -> str | None:
    """Bring the database to the newest revision in `scripts`, all of it or nothing.

    A database that holds anything is copied first (VACUUM INTO; PostgreSQL: into another schema); returns where
    to, or None if no copy was needed.

    Raises:
        StoreNewer: the database has a revision that is unknown here.
        StoreUnavailable: it cannot be written.
        StoreCorrupt: it is damaged.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    newest = ScriptDirectory.from_config(config).get_current_head()
    with reported_errors():
        current = _revision(engine)
        if current == newest:
            return None
        if current is not None and current not in known:
            raise _newer(engine, current, newest)
        backup = None if current is None else _back_up(engine, current)
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        return backup


def quick_check(engine: Engine, *, check: Literal["quick_check", "integrity_check"] = "quick_check") -> None:
    """Raise StoreCorrupt if SQLite's own check finds damage.

    It reads the whole file, up to 20 s for each GB (the other one looks at indexes too, and takes longer): for
    after a crash, not for every start. PostgreSQL looks after itself.
    """
    if not _is_sqlite(engine):
        return
    with reported_errors(), engine.connect() as connection:
        found = [str(row[0]) for row in connection.execute(text(f"PRAGMA {check}(5)"))]
    if found != ["ok"]:
        raise StoreCorrupt(_damage(engine, "; ".join(found)))


@contextlib.contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction, all of it or nothing.

    A connection to which the file system has failed is never used again.
    """
    try:
        with second_look(engine), reported_errors(), engine.begin() as connection:
            yield connection
    except StoreUnavailable as error:
        if _has_failed_file(error):
            reopen(engine, error)
        raise


def reopen(engine: Engine, reason: object) -> None:
    """Let go of a file that has failed; the next use opens it. For SQLite: PostgreSQL would let another daemon in.

    What SQLite takes for locked in a file is one for all connections of a process, and goes with the last of them.
    After an unlocking that failed it is wrong: nobody holds that lock, and everybody meets `locking protocol`.
    """
    if not _is_sqlite(engine):
        return
    told = {"action": "database_reopened", "reason": str(reason)}
    log.warning("the database is opened anew", extra=told)
    engine.dispose()


def fold_overgrown(engine: Engine) -> None:
    """Fold a write-ahead log into the database that grows without end.

    A reader's lock keeps it from beginning anew; after an unlocking that failed, one that nobody holds.
    """
    if not _is_sqlite(engine):
        return
    wal = Path(f"{engine.url.database}-wal")
    if wal.exists() and (nbytes := wal.stat().st_size) > WAL_LIMIT_BYTES:
        reopen(engine, f"its write-ahead log has grown to {nbytes >> 20} MiB")


@contextlib.contextmanager
def second_look(engine: Engine) -> Iterator[None]:
    """Believe in damage only if it is still there when all of the file is read anew: one bad read looks so."""
    try:
        yield
    except StoreCorrupt as error:
        if not _is_sqlite(engine):
            raise
        reopen(engine, error)
        quick_check(engine, check="integrity_check")
        raise StoreUnavailable(
            f"the database was taken for damaged, and is whole at a second look ({error}): its disk failed for a "
            "moment. Nothing was changed; try again, and look at the host's log."
        ) from error


@contextlib.contextmanager
def reported_errors() -> Iterator[None]:
    """Turn what the driver says about the file into errors of this room; programming errors pass."""
    try:
        yield
    except DBAPIError as error:
        cause = error.orig
        if not isinstance(cause, sqlite3.Error) and (meant := postgresql.error_of(error)) is not None:
            raise meant from error
        if isinstance(cause, sqlite3.OperationalError):
            raise StoreUnavailable(
                f"the database cannot be used just now: {cause}. Nothing was changed; try again later, "
                "and look at free space and permissions of the state folder."
            ) from error
        if isinstance(cause, sqlite3.DatabaseError) and any(word in str(cause) for word in _DAMAGED):
            raise StoreCorrupt(f"the database is damaged: {cause}. Stop the daemon; {_WAY_OUT}.") from error
        raise


def _has_failed_file(error: StoreUnavailable) -> bool:
    """Whether SQLite met an error of the file system, or finds no way through its own locks."""
    cause = error.__cause__.orig if isinstance(error.__cause__, DBAPIError) else None
    code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    return code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PROTOCOL)


def _configure(connection: sqlite3.Connection, _record: Any) -> None:
    # The driver would begin transactions late and commit before DDL: `_begin_immediate` does it instead.
    connection.isolation_level = None
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "trusted_schema = OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    if not connection.get_execution_options().get(_BARE):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _is_sqlite(engine: Engine) -> bool:
    return engine.dialect.name == "sqlite"


def _revision(engine: Engine) -> str | None:
    """The revision a database says it has; None for an empty one."""
    with engine.connect() as connection:
        names = inspect(connection).get_table_names()
        if "alembic_version" in names:
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if names:
        raise StoreError(
            f"{engine.url.database} is a database of something else: expected an empty one or kbd's tables, "
            f"found {', '.join(sorted(names)[:5])}. Choose another state folder."
        )
    return None


def _newer(engine: Engine, current: str, newest: str | None) -> StoreNewer:
    return StoreNewer(
        f"{engine.url.database} has revision {current}, this kbd knows up to {newest}: a newer kbd has used "
        "it. Install that version again, or go back to the copy that it left beside the database. Where there is "
        f"none, `{REBUILD}` sets the file aside and makes one of this version from what lies in the spool."
    )


def _back_up(engine: Engine, revision: str) -> str:
    """Copy the whole database, defragmented, to a file beside it that was not there before."""
    if not _is_sqlite(engine):
        with engine.begin() as connection:
            return postgresql.back_up(connection, revision)
    path = Path(f"{engine.url.database}.{revision}.{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.backup")
    with engine.connect().execution_options(**{_BARE: True}) as connection:
        connection.execute(text("VACUUM INTO :path"), {"path": str(path)})
    _fsync(path)
    fsync_name(path)
    return str(path)


def _fsync(path: Path) -> None:
    """SQLite leaves a vacuumed copy to the page cache."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _damage(engine: Engine, found: str) -> str:
    return f"{engine.url.database} is damaged: {found}. Stop the daemon; {_WAY_OUT}."
