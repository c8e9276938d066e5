"""PostgreSQL in place of SQLite: tables, one writer, readers that cannot write, a copy before an upgrade."""

import shutil
from contextlib import closing

import psycopg
import pytest
from sqlalchemy import inspect, text

from kbd.store import postgresql
from kbd.store.engine import MIGRATIONS, migrate, open_writer, quick_check
from kbd.store.errors import StoreError, StoreMissing, StoreNewer, StoreUnavailable
from kbd.store.jobs import JobStore
from kbd.store.models import Base
from kbd.store.postgresql_source import libpq_url, open_postgresql
from kbd.store.readers import JobReader

pytestmark = pytest.mark.xdist_group("postgresql")

NEXT_REVISION = '''
"""A revision of tomorrow."""
import sqlalchemy as sa
from alembic import op

revision = "tomorrow"
down_revision = "0002"

def upgrade():
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(sa.Column("mood", sa.String(8)))
    {rest}
'''


@pytest.fixture
def later_scripts(tmp_path):
    """The migrations of a later kbd: ours and one more."""

    def build(rest="pass"):
        folder = tmp_path / "migrations"
        shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "versions" / "r_tomorrow.py").write_text(NEXT_REVISION.format(rest=rest))
        return folder

    return build


@pytest.fixture
def writer(tmp_path):
    opened = []

    def start(url):
        opened.append(open_writer(tmp_path, url))
        return opened[-1]

    yield start
    for engine in opened:
        engine.dispose()


def asked(url, query):
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query).fetchall()


def test_the_migrations_make_what_the_models_say(writer, new_postgresql):
    engine = writer(new_postgresql)
    assert migrate(engine) is None
    assert migrate(engine) is None
    quick_check(engine)
    found = inspect(engine)
    for table in Base.metadata.sorted_tables:
        columns = {column["name"]: bool(column["nullable"]) for column in found.get_columns(table.name)}
        assert columns == {column.name: bool(column.nullable) for column in table.columns}
        indexes = {
            index["name"] for index in found.get_indexes(table.name) if "duplicates_constraint" not in index
        }
        assert indexes == {index.name for index in table.indexes}


def test_there_is_one_writer(writer, clean_postgresql, monkeypatch):
    """Two daemons that were given the same database would take each other's jobs for lost."""
    monkeypatch.setitem(postgresql._SESSION, "lock_timeout", "'100ms'")
    with writer(clean_postgresql).connect():
        pass
    with pytest.raises(StoreUnavailable, match=r"another daemon uses this database .*pg_terminate_backend"):
        writer(clean_postgresql).connect()


def test_a_daemon_that_died_holds_nothing(writer, clean_postgresql, make_job):
    first = writer(clean_postgresql)
    with first.connect() as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    asked(clean_postgresql, f"SELECT pg_terminate_backend({pid})")
    assert JobStore(writer(clean_postgresql)).add([make_job("j")]) == ["added"]


def test_a_server_that_was_away_is_used_again(writer, clean_postgresql, make_job):
    store = JobStore(writer(clean_postgresql))
    store.add([make_job("a")])
    asked(
        clean_postgresql,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'kbd'",
    )
    assert store.add([make_job("b")]) == ["added"]
    assert [row.job_id for row in store.next_submitted(5)] == ["a", "b"]


def test_a_server_that_is_not_there_is_unavailable(writer, tmp_path, postgresql_server):
    url = f"postgresql://nobody@/none?host={tmp_path}"
    with pytest.raises(StoreUnavailable, match="cannot be used just now"):
        JobStore(writer(url)).queued()
    with pytest.raises(StoreUnavailable, match="kbd config show"):
        open_postgresql(url)


def test_an_upgrade_copies_what_there_was(writer, new_postgresql, later_scripts, make_job):
    engine = writer(new_postgresql)
    migrate(engine)
    JobStore(engine).add([make_job("j", labels={"a": "b"})])
    schema = migrate(engine, scripts=later_scripts())
    assert schema.startswith("kbd_0002_")
    assert asked(new_postgresql, f"SELECT job_id, labels FROM {schema}.jobs") == [("j", {"a": "b"})]
    assert asked(new_postgresql, f"SELECT version_num FROM {schema}.alembic_version") == [("0002",)]
    assert asked(new_postgresql, "SELECT job_id, mood FROM jobs") == [("j", None)]
    with pytest.raises(StoreNewer, match="a newer kbd"):
        migrate(engine)


def test_an_upgrade_that_fails_changes_nothing(writer, new_postgresql, later_scripts):
    engine = writer(new_postgresql)
    migrate(engine)
    with pytest.raises(RuntimeError, match="out of luck"):
        migrate(engine, scripts=later_scripts(rest="raise RuntimeError('out of luck')"))
    assert asked(new_postgresql, "SELECT version_num FROM alembic_version") == [("0002",)]
    assert "mood" not in {column["name"] for column in inspect(engine).get_columns("jobs")}


def test_the_database_of_something_else_is_left_alone(writer, new_postgresql):
    with psycopg.connect(new_postgresql, autocommit=True) as connection:
        connection.execute("CREATE TABLE songs(title text)")
    with pytest.raises(StoreError, match="found songs"):
        migrate(writer(new_postgresql))


def test_a_role_without_rights_is_told_what_it_needs(writer, new_postgresql):
    with psycopg.connect(new_postgresql, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS weak")
        connection.execute("CREATE ROLE weak LOGIN")
    with pytest.raises(StoreUnavailable, match="must own its database"):
        migrate(writer(new_postgresql.replace("postgres@", "weak@")))


@pytest.mark.parametrize("sql", ["DELETE FROM jobs", "CREATE TABLE t(x int)"])
def test_a_reader_cannot_write(clean_postgresql, sql):
    with (
        open_postgresql(clean_postgresql) as source,
        pytest.raises(StoreUnavailable, match="read-only transaction"),
    ):
        source.rows(sql, {})


def test_no_tables_yet(new_postgresql):
    with pytest.raises(StoreMissing, match="kbd run"):
        open_postgresql(new_postgresql)


def test_a_reader_works_while_the_writer_is_in_a_transaction(writer, clean_postgresql, make_job):
    engine = writer(clean_postgresql)
    JobStore(engine).add([make_job("a%s:b", labels={"k": "100%"})])
    with engine.begin() as connection, open_postgresql(clean_postgresql) as source:
        connection.execute(text("DELETE FROM jobs"))
        reader = JobReader(source)
        assert [row.job_id for row in reader.list(label=("k", "100%"))] == ["a%s:b"]


@pytest.mark.parametrize("url", ["postgresql://a@h/d?x=1", "postgresql+psycopg://a@h/d?x=1"])
def test_both_forms_of_an_url(url):
    assert libpq_url(url) == "postgresql://a@h/d?x=1"


def test_texts_that_a_server_cannot_hold(writer, clean_postgresql, make_job):
    store = JobStore(writer(clean_postgresql))
    store.add([make_job("j")])
    store.begin_attempt("j", "cpu0", "compiling")
    assert store.requeue("j", "died \0 badly")
    with closing(psycopg.connect(clean_postgresql)) as connection:
        assert connection.execute("SELECT outcome FROM attempts").fetchall() == [("died ? badly",)]
