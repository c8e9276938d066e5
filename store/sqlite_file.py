"""Reading the database file beside a running daemon, without SQLAlchemy.

`kbd status` must answer within 0.3 s, and importing SQLAlchemy alone takes 0.2 s; the standard library's
driver takes 5 ms. So readers speak plain SQL, with `:name` parameters, which SQLAlchemy's `text()` and every
database behind it understand as well: another database needs another `QuerySource`, not other queries.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, Self
from urllib.parse import quote

from kbd.store.errors import StoreCorrupt, StoreMissing, StoreUnavailable
from kbd.store.location import REBUILD, database_path, require_not_gone

BUSY_TIMEOUT_S: Final = 5.0


class QuerySource(Protocol):
    """Something that answers queries and changes nothing."""

    def rows(self, sql: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """All rows of one query."""


class SqliteFile:
    """A read-only connection to the daemon's database. Use it as a context manager, in one thread."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def rows(self, sql: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """All rows of one query.

        Raises:
            StoreUnavailable: locked, unreadable, or of a revision with other tables.
            StoreCorrupt: the file is damaged or no database.
        """
        try:
            return self._rows(sql, parameters)
        except StoreCorrupt:  # one read that fails looks so, and passes
            return self._rows(sql, parameters)

    def _rows(self, sql: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        with _reported_errors(self._path):
            return self._connection.execute(sql, dict(parameters)).fetchall()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_reader(state_dir: Path) -> SqliteFile:
    """Open the database of a state folder for reading only.

    Where the folder cannot be written (another user's), SQLite cannot make the shared memory a WAL needs. If
    no process has the database open and its WAL is folded in, it is opened as immutable instead.

    Raises:
        StoreMissing: there is no database, or nothing in it yet: the first daemon makes it in one transaction.
        StoreGone: there was one.
        StoreUnavailable: it cannot be opened.
        StoreCorrupt: it is no database.
    """
    path = database_path(state_dir)
    require_not_gone(state_dir)
    if not path.exists():
        raise StoreMissing(
            f"expected a database at {path}, found none: no daemon has run with this state folder yet. "
            "Start one with `kbd run`, or name its folder with --state or KBD_STATE."
        )
    try:
        return _open_twice(path)
    except StoreUnavailable:
        if not _at_rest(path):
            raise
    return _open(path, "mode=ro&immutable=1")


def _open_twice(path: Path) -> SqliteFile:
    try:
        return _open(path, "mode=ro")
    except StoreCorrupt:  # as in `rows`
        return _open(path, "mode=ro")


def _open(path: Path, mode: str) -> SqliteFile:
    with _reported_errors(path):
        connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?{mode}",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
        )
        try:
            connection.execute("PRAGMA query_only = ON")
            # The first read is what really opens the file.
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if not tables:
                raise StoreMissing(
                    f"{path} is empty: the first daemon with this state folder is just making it. Try again."
                )
        except BaseException:
            connection.close()
            raise
    return SqliteFile(connection, path)


def _at_rest(path: Path) -> bool:
    """Whether nobody has the database open and nothing waits in its WAL: every live WAL has a `-shm`."""
    if path.with_name(f"{path.name}-shm").exists():
        return False
    wal = path.with_name(f"{path.name}-wal")
    return not wal.exists() or wal.stat().st_size == 0


@contextlib.contextmanager
def _reported_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StoreUnavailable(
            f"{path} cannot be read just now: {error}. Try again; if that does not help, start the daemon "
            "with this version of kbd (it upgrades the database), or read as the daemon's user."
        ) from error
    except sqlite3.DatabaseError as error:
        raise StoreCorrupt(
            f"{path} is damaged or no database: {error}. Stop the daemon, then let `{REBUILD}` set the file aside "
            "and make a new one from the results and manifests in the spool."
        ) from error
