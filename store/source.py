"""Opening the database of a daemon for readers, whichever it is."""

from pathlib import Path

from kbd.store.location import SQLITE
from kbd.store.postgresql_source import PostgresqlSource, open_postgresql
from kbd.store.sqlite_file import SqliteFile, open_reader


def open_source(state_dir: Path, database: str = SQLITE) -> SqliteFile | PostgresqlSource:
    """A source for reading only, to be used as a context manager.

    Args:
        state_dir: where the file lies, if it is SQLite.
        database: `sqlite`, or the URL of a PostgreSQL database.

    Raises:
        StoreMissing: no daemon has made it yet.
        StoreError: it was deleted, is damaged, or cannot be reached.
    """
    if database == SQLITE:
        return open_reader(state_dir)
    return open_postgresql(database)
