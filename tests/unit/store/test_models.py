import sqlite3

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateIndex, CreateTable

from kbd.store.models import OWED, QUEUED, Base


def schema(connection):
    """Every statement that made a database, apart from Alembic's own table and SQLite's."""
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {name: sql for name, sql in rows if name not in ("alembic_version", "sqlite_sequence")}


def test_the_migrations_make_what_the_models_say(empty_database, tmp_path):
    declared = create_engine(f"sqlite:///{tmp_path / 'declared.db'}")
    Base.metadata.create_all(declared)
    declared.dispose()
    found, wanted = sqlite3.connect(empty_database), sqlite3.connect(tmp_path / "declared.db")
    assert schema(found) == schema(wanted)
    found.close()
    wanted.close()


@pytest.mark.parametrize("table", Base.metadata.sorted_tables, ids=str)
def test_the_tables_can_be_made_elsewhere(table):
    dialect = postgresql.dialect()
    statements = [str(CreateIndex(index).compile(dialect=dialect)) for index in table.indexes]
    assert str(CreateTable(table).compile(dialect=dialect)).strip().startswith(f"CREATE TABLE {table.name}")
    for condition, name in ((QUEUED, "jobs_queue"), (OWED, "jobs_owed")):
        assert all(condition in statement for statement in statements if name in statement)


@pytest.mark.parametrize(
    "change",
    [
        "state = 'completed'",
        "finished_at = 1.0",
        "published = true",
    ],
)
def test_half_finished_jobs_cannot_be_written(engine, store, make_job, change):
    store.add([make_job("j")])
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text(f"UPDATE jobs SET {change}"))
