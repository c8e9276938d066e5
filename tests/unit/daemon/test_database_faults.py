"""Each fault that a database can have, on real files: what is tried again, what is refused, what is told."""

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import text

from kbd.daemon.database import open_database, require_local_disk
from kbd.store.errors import StoreCorrupt, StoreError, StoreGone, StoreNewer, StoreUnavailable
from kbd.store.location import database_path
from kbd.store.readers import JobReader
from kbd.store.sqlite_file import open_reader

WAY_OUT = "kbd doctor --rebuild"
JOB = """
version: 1
candidate: {kernel_type: torch, source_code: "def f(x): return x"}
io: {args: [{name: x, type: tensor, tensor_spec: {shape: [4], dtype: float32}}]}
"""


@contextmanager
def locked(desk):
    """Another program holds the write lock, for longer than anybody waits."""
    _pragma(desk, "busy_timeout = 10")
    with closing(sqlite3.connect(database_path(desk.state), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def full(desk):
    """Not a page more fits."""
    with desk.engine.connect() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar()
    _pragma(desk, f"max_page_count = {pages}")
    yield
    _pragma(desk, "max_page_count = 1000000")


def _pragma(desk, pragma):
    with desk.engine.connect() as connection:
        connection.execute(text(f"PRAGMA {pragma}"))


@pytest.mark.parametrize(("fault", "reason"), [(locked, "locked"), (full, "full")])
def test_what_passes_is_tried_again_and_nothing_is_lost(desk, deliver, files_in, fault, reason):
    hints = [deliver(f"j{number}.yaml", f"{JOB}# {'x' * 4000}") for number in range(30)]
    with fault(desk):
        with pytest.raises(StoreUnavailable, match=reason):
            desk.take_in.round(hints)
        with open_reader(desk.state) as source:
            assert JobReader(source).list() == []
        assert len(files_in("inbox") + files_in("claimed")) == 30
    assert desk.take_in.round(hints).queued == 30
    assert len(desk.store.next_submitted(99)) == 30


def corrupt(path):
    path.write_bytes(b"no database" * 1000)


def delete(path):
    path.unlink()


def upgrade(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'tomorrow'")


@pytest.mark.parametrize(
    ("fault", "error"), [(corrupt, StoreCorrupt), (delete, StoreGone), (upgrade, StoreNewer)]
)
def test_what_does_not_pass_is_refused_with_the_way_out(settings, desk, open_desk_of, fault, error):
    desk.close()
    fault(database_path(settings.state))
    with pytest.raises(error, match=WAY_OUT):
        open_desk_of(settings)


@pytest.mark.parametrize(("fault", "error"), [(corrupt, StoreCorrupt), (delete, StoreGone)])
def test_readers_name_the_way_out_too(settings, desk, fault, error):
    desk.close()
    fault(database_path(settings.state))
    with pytest.raises(error, match=WAY_OUT):
        open_reader(settings.state)


@pytest.mark.fault("the database is deleted")
def test_a_daemon_whose_database_is_deleted_while_it_runs_does_not_go_on_into_the_void(desk):
    """It would write into a file without a name; looking for status.json it notices."""
    database_path(desk.state).unlink()
    with pytest.raises(StoreGone, match=WAY_OUT):
        open_reader(desk.state)


def test_without_history_one_may_begin_anew(settings, desk, open_desk_of):
    desk.close()
    database_path(settings.state).unlink()
    (settings.state / ".kbd-state").unlink()
    open_desk_of(settings).close()


def test_a_folder_that_never_had_one_gets_one(settings, tmp_path, open_desk_of):
    state = tmp_path / "new"
    state.mkdir()
    open_desk_of(replace(settings, state=state)).close()
    assert database_path(state).exists()


@pytest.mark.fault("the database lies on a network file system")
def test_on_a_network_file_system_it_is_refused_with_the_way_out(tmp_path):
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text("22 1 252:1 / / rw - nfs4 server:/export rw\n")
    with pytest.raises(StoreError, match=f"{WAY_OUT} --state"):
        require_local_disk(tmp_path, mountinfo)


@pytest.mark.fault("the database is damaged")
def test_a_rebuilt_one_passes_the_check(settings):
    open_database(settings.state, check=True).dispose()
