import shutil
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import event, text

from kbd.store.engine import MIGRATIONS, migrate, open_writer, quick_check
from kbd.store.errors import StoreCorrupt, StoreError, StoreNewer, StoreUnavailable
from kbd.store.jobs import JobStore
from kbd.store.location import database_path
from kbd.store.sqlite_file import open_reader

NEXT_REVISION = '''
"""A revision of tomorrow."""
import sqlalchemy as sa
from alembic import op

revision = "tomorrow"
down_revision = "0002"

def upgrade():
    op.add_column("jobs", sa.Column("mood", sa.String(8)))
    {rest}
'''


@pytest.fixture
def later_scripts(tmp_path):
    """Make the migrations of a later kbd: ours and one more."""

    def build(rest: str = "pass") -> Path:
        folder = tmp_path / "migrations"
        shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "versions" / "r_tomorrow.py").write_text(NEXT_REVISION.format(rest=rest))
        return folder

    return build


def revision_of(path):
    connection = sqlite3.connect(path)
    (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    connection.close()
    return revision


def columns_of(path):
    connection = sqlite3.connect(path)
    names = [row[1] for row in connection.execute("PRAGMA table_info(jobs)")]
    connection.close()
    return names


def test_a_new_folder_gets_a_database_once(tmp_path):
    engine = open_writer(tmp_path / "new" / "state")
    assert migrate(engine) is None
    assert migrate(engine) is None
    quick_check(engine)
    engine.dispose()
    assert [path.name for path in (tmp_path / "new" / "state").iterdir()] == ["kbd.db"]


def test_the_writer_is_careful(engine):
    with engine.connect() as connection:
        asked = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        found = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in asked]
    assert found == ["wal", 2, 1, 10_000]


def test_there_is_one_writing_connection(engine):
    with engine.connect():
        assert engine.pool.status().startswith("Pool size: 1 ")
        assert engine.pool.overflow() == 0


def test_a_transaction_takes_the_write_lock_at_once(engine, state_dir):
    other = sqlite3.connect(database_path(state_dir), timeout=0, isolation_level=None)
    with engine.begin(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    other.close()


def test_an_upgrade_copies_what_there_was(state_dir, engine, store, make_job, later_scripts):
    store.add([make_job("j")])
    backup = migrate(engine, scripts=later_scripts())
    assert backup is not None
    assert Path(backup).parent == state_dir
    assert (revision_of(backup), revision_of(database_path(state_dir))) == ("0002", "tomorrow")
    assert "mood" not in columns_of(backup)
    assert "mood" in columns_of(database_path(state_dir))
    kept = sqlite3.connect(backup)
    assert kept.execute("SELECT job_id FROM jobs").fetchall() == [("j",)]
    kept.close()
    assert store.get("j") is not None


def test_an_upgrade_that_fails_changes_nothing(state_dir, engine, later_scripts):
    scripts = later_scripts(rest="raise RuntimeError('out of luck')")
    with pytest.raises(RuntimeError, match="out of luck"):
        migrate(engine, scripts=scripts)
    assert revision_of(database_path(state_dir)) == "0002"
    assert "mood" not in columns_of(database_path(state_dir))


@pytest.mark.fault("the database is of a newer kbd")
def test_a_newer_database_is_left_alone(state_dir, engine, later_scripts):
    migrate(engine, scripts=later_scripts())
    before = database_path(state_dir).read_bytes()
    with pytest.raises(StoreNewer, match="a newer kbd"):
        migrate(engine)
    assert database_path(state_dir).read_bytes() == before


def test_the_database_of_something_else_is_left_alone(tmp_path):
    other = sqlite3.connect(database_path(tmp_path))
    other.execute("CREATE TABLE songs(title)")
    other.close()
    engine = open_writer(tmp_path)
    with pytest.raises(StoreError, match="found songs"):
        migrate(engine)
    engine.dispose()


@pytest.mark.fault("the database is damaged")
def test_a_file_that_is_no_database(tmp_path):
    database_path(tmp_path).write_bytes(b"certainly not SQLite" * 100)
    engine = open_writer(tmp_path)
    with pytest.raises(StoreCorrupt, match="damaged"):
        migrate(engine)
    engine.dispose()


@pytest.fixture
def damaged(state_dir, make_job):
    """A database with some jobs that is damaged behind its first pages; what it held before."""
    engine = open_writer(state_dir)
    JobStore(engine).add([make_job(f"j{number}", manifest_text="m" * 4000) for number in range(50)])
    engine.dispose()
    path = database_path(state_dir)
    sound = path.read_bytes()
    content = bytearray(sound)
    for page in range(8, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(content)
    return sound


@pytest.mark.fault("the database is damaged")
def test_damage_inside_is_found(state_dir, damaged):
    engine = open_writer(state_dir)
    with pytest.raises(StoreCorrupt, match="damaged"):
        quick_check(engine)
    engine.dispose()


@pytest.mark.fault("the database is damaged")
def test_damage_that_stays_is_believed(state_dir, damaged):
    engine = open_writer(state_dir)
    with pytest.raises(StoreCorrupt, match="damaged"):
        JobStore(engine).next_submitted(50)
    engine.dispose()


@pytest.mark.fault("the disk of the database fails for a moment")
def test_damage_that_is_gone_at_a_second_look_was_a_bad_read(state_dir, damaged, monkeypatch):
    engine = open_writer(state_dir)
    dispose = engine.dispose

    def recover():
        dispose()
        database_path(state_dir).write_bytes(damaged)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "dispose", recover)
        with pytest.raises(StoreUnavailable, match="whole at a second look"):
            JobStore(engine).next_submitted(50)
    assert len(JobStore(engine).next_submitted(50)) == 50
    engine.dispose()


@pytest.mark.parametrize(
    ("code", "is_new"),
    [(sqlite3.SQLITE_PROTOCOL, True), (sqlite3.SQLITE_IOERR_FSYNC, True), (sqlite3.SQLITE_BUSY, False)],
)
@pytest.mark.fault("the disk of the database fails for a moment")
def test_a_connection_to_which_the_file_system_failed_is_not_used_again(engine, store, code, is_new):
    """As after an unlocking that failed: SQLite says `locking protocol` for ever then."""
    used = []

    def fail_once(_cursor, _statement, _parameters, context):
        used.append(context.root_connection.connection.driver_connection)
        if len(used) == 1:
            error = sqlite3.OperationalError("as the file system fails")
            error.sqlite_errorcode = code
            raise error

    event.listen(engine, "do_execute", fail_once)
    with pytest.raises(StoreUnavailable, match="as the file system fails"):
        store.queued()
    assert store.queued() == 0
    assert (used[-1] is not used[0]) == is_new


@pytest.mark.fault("the disk of the database is full")
def test_a_full_disk_is_unavailable_and_passes(engine, store, make_job):
    with engine.connect() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar()
        connection.execute(text(f"PRAGMA max_page_count = {pages}"))
    with pytest.raises(StoreUnavailable, match="full"):
        store.add([make_job("j", manifest_text="m" * 100_000)])
    with engine.connect() as connection:
        connection.execute(text("PRAGMA max_page_count = 1000000"))
    assert store.add([make_job("j", manifest_text="m" * 100_000)]) == ["added"]


def test_history_goes_with_its_job(engine, store, make_job, state_dir):
    store.add([make_job("j", labels={"a": "b"})])
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM jobs"))
    with open_reader(state_dir) as source:
        for table in ("manifests", "results", "attempts", "labels"):
            assert source.rows(f"SELECT count(*) FROM {table}", {}) == [(0,)]
