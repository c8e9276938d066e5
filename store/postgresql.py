"""What is different where the database is PostgreSQL: who may write, what is copied, what errors mean.

One database (or schema) belongs to one daemon. The writer's session holds an advisory lock, so a second daemon that
is given the same database by mistake is refused instead of taking the jobs of the first one for its own.
"""

import time
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import QueuePool

from kbd.store.errors import StoreCorrupt, StoreError, StoreUnavailable
from kbd.store.models import Base
from kbd.store.postgresql_source import driver, libpq_url

_LOCK_CLASS: Final = 0x6B6264  # "kbd"
_CONNECT_LIMIT_S: Final = 10
_IN_USE: Final = "55P03"  # lock_not_available
_DENIED: Final = "42501"  # insufficient_privilege
_DAMAGED: Final = ("XX001", "XX002")
_SESSION: Final = {
    "lock_timeout": "'10s'",
    "default_transaction_isolation": "'read committed'",
    # The server notices within a minute that the host of a daemon is gone, and gives its lock to the next one.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}


def open_engine(url: str) -> Engine:
    """The engine of the single writer, with exactly one connection, which is made anew when it broke."""
    driver()
    engine = create_engine(
        libpq_url(url).replace("://", "+psycopg://", 1),
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_pre_ping=True,
        connect_args={"connect_timeout": _CONNECT_LIMIT_S, "application_name": "kbd"},
    )
    event.listen(engine, "connect", _begin_session)
    return engine


def back_up(connection: Connection, revision: str) -> str:
    """Copy all tables into a schema of their own, in the transaction of `connection`. Returns its name."""
    schema = f"kbd_{revision}_{time.strftime('%Y%m%dt%H%M%Sz', time.gmtime())}"
    connection.execute(text(f"CREATE SCHEMA {schema}"))
    for table in (*Base.metadata.tables, "alembic_version"):
        connection.execute(text(f"CREATE TABLE {schema}.{table} AS TABLE {table}"))
    return schema


def error_of(error: DBAPIError) -> StoreError | None:
    """What the server or the driver says, as an error of this room; None for a programming error."""
    cause = error.orig
    code = getattr(cause, "sqlstate", None) or ""
    if code in _DAMAGED:
        return StoreCorrupt(
            f"PostgreSQL finds damage in the database: {cause}. Stop the daemon, then restore it from a copy; or "
            "name a new, empty one in the settings and fill it from the spool with `kbd doctor --rebuild`."
        )
    if code == _DENIED:
        return StoreUnavailable(
            f"PostgreSQL refuses: {cause}. The daemon's role must own its database, or have CREATE on it and on "
            "its schema; roles that only read need SELECT."
        )
    # Class 25: a server that takes no changes, such as a standby.
    if isinstance(error, OperationalError) or error.connection_invalidated or code.startswith("25"):
        return StoreUnavailable(
            f"the database cannot be used just now: {cause}. Nothing was changed; try again later."
        )
    return None


def _begin_session(connection: Any, _record: Any) -> None:
    connection.autocommit = True
    with connection.cursor() as cursor:
        for name, value in _SESSION.items():
            cursor.execute(f"SET {name} = {value}")
        try:
            cursor.execute(f"SELECT pg_advisory_lock({_LOCK_CLASS}, hashtext(current_schema()))")
        except driver().OperationalError as error:
            if error.sqlstate != _IN_USE:
                raise
            raise StoreUnavailable(_held_by(cursor)) from error
    connection.autocommit = False


def _held_by(cursor: Any) -> str:
    cursor.execute(
        "SELECT pid, coalesce(host(client_addr), 'this host') FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE locktype = 'advisory' AND classid = %s AND granted AND pid <> pg_backend_pid()",
        (_LOCK_CLASS,),
    )
    pid, where = cursor.fetchone() or ("unknown", "unknown")
    return (
        f"another daemon uses this database (a session from {where}, backend {pid}): each daemon needs one of its "
        "own, or a schema of its own. A daemon that hangs lets go when it is killed, or by "
        f"SELECT pg_terminate_backend({pid})"
    )
