"""Each call of SQLite on its files fails once, for real: the next try succeeds, and nothing else is different."""

import errno
import itertools
import shutil

import pytest
from sqlalchemy import event

from kbd.store import engine as engine_module
from kbd.store.engine import fold_overgrown, open_writer, reopen
from kbd.store.errors import StoreUnavailable
from kbd.store.jobs import JobStore
from kbd.store.location import database_path
from kbd.store.readers import JobReader
from kbd.store.sqlite_file import open_reader
from tests.failing_calls import failing

LOCKS, READS = ("fcntl",), ("pread", "pread64")

pytestmark = pytest.mark.fault("the disk of the database fails for a moment")


@pytest.fixture
def writer(tmp_path, empty_database):
    """A daemon's connection to a database of its own."""
    folders = itertools.count()

    def make():
        state_dir = tmp_path / f"state{next(folders)}"
        state_dir.mkdir()
        shutil.copy(empty_database, database_path(state_dir))
        return state_dir, open_writer(state_dir)

    return make


def names_in(state_dir):
    with open_reader(state_dir) as source:
        return [row.job_id for row in JobReader(source).list()]


def add(store, job):
    """Returns how often that was in vain."""
    try:
        assert store.add([job]) == ["added"]
    except StoreUnavailable:
        assert store.add([job]) == ["added"]
        return 1
    return 0


@pytest.mark.parametrize(
    ("calls", "error"),
    [(LOCKS, errno.EIO), (READS, errno.EIO), (READS, errno.ESTALE)],
    ids=["locks EIO", "reads EIO", "reads ESTALE"],
)
def test_whichever_call_of_the_writer_fails_one_transaction_is_tried_again(writer, make_job, calls, error):
    in_vain = 0
    for number in itertools.count(1):
        state_dir, engine = writer()
        store = JobStore(engine)
        with failing(calls, {number}, error) as failed:
            again = [add(store, make_job(name)) for name in "abc"]
        assert sum(again) <= 1, f"call {number}"
        assert sorted(names_in(state_dir)) == ["a", "b", "c"], f"call {number}"
        engine.dispose()
        if not failed:
            break
        in_vain += sum(again)
    assert in_vain > 0, "SQLite looked over every failure"


@pytest.mark.parametrize("calls", [LOCKS, READS], ids=["locks", "reads"])
def test_whichever_call_of_a_reader_fails_the_next_one_reads(writer, make_job, calls):
    state_dir, engine = writer()
    store = JobStore(engine)
    in_vain = 0
    for number in itertools.count(1):
        store.add([make_job(f"j{number:03}")])
        again = 0
        with failing(calls, {number}, errno.EIO) as failed:
            while again < 2:
                try:
                    assert len(names_in(state_dir)) == number
                    break
                except StoreUnavailable as error:
                    again += 1
                    reopen(engine, error)
        assert again < 2, f"call {number}"
        in_vain += again
        if not failed:
            break
    engine.dispose()
    assert (in_vain > 0) or calls is LOCKS


def test_a_read_that_fails_is_no_damage_to_a_reader(writer, make_job):
    """SQLite takes EIO for damage, and means it: `SQLITE_IOERR_CORRUPTFS`."""
    state_dir, engine = writer()
    JobStore(engine).add([make_job("j")])
    engine.dispose()
    with open_reader(state_dir) as source, failing(READS, {1}, errno.EIO) as failed:
        assert source.rows("SELECT job_id FROM jobs", {}) == [("j",)]
    assert failed == [1]


def folded_when(number, writer, make_job, caplog):
    """Why the log was folded after this call had failed, asked twice while jobs come in."""
    caplog.clear()
    _, engine = writer()
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA wal_autocheckpoint = 1"))
    store, names = JobStore(engine), (f"j{count}" for count in itertools.count())
    with failing(LOCKS, {number}, errno.EIO):
        for _ in range(3):
            add(store, make_job(next(names)))
    for _ in range(2):
        for _ in range(5):
            store.add([make_job(next(names), manifest_text="m" * 20_000)])
        fold_overgrown(engine)
    engine.dispose()
    return [record.reason for record in caplog.records if "grown" in getattr(record, "reason", "")]


def test_a_log_that_never_begins_anew_is_folded(writer, make_job, monkeypatch, caplog):
    """An unlocking fails, nobody notices, and the log would grow as long as the daemon lives."""
    monkeypatch.setattr(engine_module, "WAL_LIMIT_BYTES", 200_000)
    assert folded_when(None, writer, make_job, caplog) == [], "checkpoints are enough"
    found = (folded_when(number, writer, make_job, caplog) for number in range(15, 40))
    folded = next(filter(None, found), [])
    assert len(folded) == 1, "folded once, it begins anew"
