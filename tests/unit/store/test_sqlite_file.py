import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from kbd.store.engine import open_writer
from kbd.store.errors import StoreCorrupt, StoreMissing, StoreUnavailable
from kbd.store.jobs import JobStore
from kbd.store.location import database_path
from kbd.store.sqlite_file import open_reader

NOBODY = 65534


@contextlib.contextmanager
def another_user():
    """Act as a user who owns nothing here; whoever is not root is one already."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def foreign_dir(empty_database):
    """A state folder that its reader cannot write to, where any user can reach it."""
    folder = Path(tempfile.mkdtemp(prefix="kbd-foreign-"))
    shutil.copy(empty_database, database_path(folder))
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


# A process of its own: within one process SQLite shares the WAL's shared memory, whatever its permissions.
WRITER = """
import sys
from pathlib import Path
from kbd.store.engine import open_writer
from kbd.store.jobs import JobStore
from kbd.store.new_job import NewJob
job = NewJob(job_id="j", manifest_sha256="a" * 64, manifest_text="{}", claimed_path="j.yaml")
JobStore(open_writer(Path(sys.argv[1]))).add([job])
print("ready", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def daemon_with_a_job(folder):
    """Another process that has the database open, and has added the job `j` to it."""
    command = [sys.executable, "-c", WRITER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        yield
        process.stdin.close()


def lock(folder):
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)


def jobs_in(folder):
    with open_reader(folder) as source:
        return [job_id for (job_id,) in source.rows("SELECT job_id FROM jobs", {})]


def test_a_reader_sees_what_the_writer_commits(state_dir, store, make_job):
    with open_reader(state_dir) as source:
        store.add([make_job("a")])
        assert source.rows("SELECT job_id FROM jobs WHERE priority = :p", {"p": 0}) == [("a",)]


def test_a_reader_works_while_the_writer_is_in_a_transaction(state_dir, engine, store, make_job):
    store.add([make_job("a")])
    with engine.begin():
        assert jobs_in(state_dir) == ["a"]


@pytest.mark.parametrize("sql", ["DELETE FROM jobs", "CREATE TABLE t(x)", "PRAGMA user_version = 3"])
def test_a_reader_cannot_write(state_dir, sql):
    with open_reader(state_dir) as source, pytest.raises(StoreUnavailable, match="readonly database"):
        source.rows(sql, {})


def test_no_database_yet(tmp_path):
    with pytest.raises(StoreMissing, match="kbd run"):
        open_reader(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_the_first_daemon_is_just_making(tmp_path):
    """Between the file's appearance and the commit of the first migration it has no tables."""
    engine = open_writer(tmp_path)
    with engine.connect():
        pass
    with pytest.raises(StoreMissing, match="just making it"):
        open_reader(tmp_path)
    engine.dispose()


def test_no_database_at_all(tmp_path):
    database_path(tmp_path).write_bytes(b"certainly not SQLite" * 100)
    with pytest.raises(StoreCorrupt, match="no database"):
        open_reader(tmp_path)


def test_a_database_without_our_tables(tmp_path):
    with contextlib.closing(sqlite3.connect(database_path(tmp_path))) as connection:
        connection.execute("CREATE TABLE another (number)")
    with open_reader(tmp_path) as source, pytest.raises(StoreUnavailable, match="upgrades"):
        source.rows("SELECT job_id FROM jobs", {})


def test_a_folder_with_odd_letters(tmp_path, empty_database):
    folder = tmp_path / "a?b#c %41"
    folder.mkdir()
    shutil.copy(empty_database, database_path(folder))
    assert jobs_in(folder) == []


def test_another_user_reads_a_database_at_rest(foreign_dir):
    lock(foreign_dir)
    with another_user():
        assert jobs_in(foreign_dir) == []


def test_another_user_reads_beside_the_daemon(foreign_dir):
    with daemon_with_a_job(foreign_dir):
        lock(foreign_dir)
        with another_user():
            assert jobs_in(foreign_dir) == ["j"]


def test_a_database_in_use_is_never_taken_for_one_at_rest(foreign_dir):
    """Its shared memory is there and closed to us: reading the file alone would miss what is in the WAL."""
    with daemon_with_a_job(foreign_dir):
        lock(foreign_dir)
        (shared,) = foreign_dir.glob("*-shm")
        shared.chmod(0)
        with another_user(), pytest.raises(StoreUnavailable, match="cannot be read"):
            jobs_in(foreign_dir)


def test_a_database_that_waits_for_recovery_is_not_read_as_if_whole(foreign_dir, make_job):
    """The WAL of a killed daemon holds the newest jobs; without writing, nobody can read them in."""
    engine = open_writer(foreign_dir)
    JobStore(engine).add([make_job("j")])
    saved = {path.name: path.read_bytes() for path in foreign_dir.iterdir() if not path.name.endswith("-shm")}
    engine.dispose()
    for name, content in saved.items():
        (foreign_dir / name).write_bytes(content)
    lock(foreign_dir)
    with another_user(), pytest.raises(StoreUnavailable, match="cannot be read"):
        jobs_in(foreign_dir)
    foreign_dir.chmod(0o755)
    assert jobs_in(foreign_dir) == ["j"]


def test_reading_needs_none_of_the_slow_packages():
    program = "import sys, kbd.store.readers, kbd.store.sqlite_file; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    slow = {"sqlalchemy", "alembic", "pydantic", "torch", "click", "asyncio"}
    assert slow & set(done.stdout.split()) == set()
