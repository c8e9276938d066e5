"""Reading a PostgreSQL database beside the daemon, without SQLAlchemy: its driver alone is quicker to import."""

import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final, Self

from kbd.store.errors import StoreError, StoreMissing, StoreUnavailable

_CONNECT_LIMIT_S: Final = 5
_PARAMETER: Final = re.compile(r"(?<!:):([a-z_][a-z0-9_]*)")


def driver() -> ModuleType:
    """Psycopg 3. Raises StoreError where it is not installed."""
    try:
        import psycopg
    except ImportError as error:
        raise StoreError(
            f"a PostgreSQL database needs the package psycopg ({error}): pip install 'kbd[postgresql]'"
        ) from error
    return psycopg


def libpq_url(url: str) -> str:
    """An URL of SQLAlchemy without the name of a driver, as libpq has it."""
    scheme, _, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}://{rest}"


class PostgresqlSource:
    """A session that cannot write. Use it as a context manager, in one thread."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def rows(self, sql: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """All rows of one query. Raises StoreUnavailable."""
        psycopg = driver()
        try:
            query = _PARAMETER.sub(r"%(\1)s", sql.replace("%", "%%"))
            return list(self._connection.execute(query, dict(parameters)).fetchall())
        except psycopg.Error as error:
            raise _unavailable(error) from error

    def close(self) -> None:
        """End the session."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_postgresql(url: str) -> PostgresqlSource:
    """Open a database for reading only.

    Raises:
        StoreMissing: no daemon has made its tables yet.
        StoreUnavailable: it cannot be reached or read.
        StoreError: the driver is not installed.
    """
    psycopg = driver()
    try:
        connection = psycopg.connect(
            libpq_url(url), autocommit=True, connect_timeout=_CONNECT_LIMIT_S, application_name="kbd reader"
        )
    except psycopg.Error as error:
        raise _unavailable(error) from error
    source = PostgresqlSource(connection)
    try:
        connection.execute("SET default_transaction_read_only = on")
        if source.rows("SELECT to_regclass('tallies') IS NULL", {}) == [(True,)]:
            raise StoreMissing(
                "the database has no tables yet: no daemon has run with it. Start one with `kbd run`, or correct "
                "KBD_DATABASE (`database` in the file of settings)."
            )
    except BaseException:
        source.close()
        raise
    return source


def _unavailable(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(
        f"the database cannot be read just now: {' '.join(str(error).split())}. Try again; if that does not "
        "help, see `database` in `kbd config show`, whether the server runs, whether this role may connect and "
        "SELECT, and start the daemon with this version of kbd (it upgrades the database)."
    )
