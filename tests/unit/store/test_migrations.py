"""A database of the first revision, as users have it, stays readable. `golden/` is never written anew."""

import sqlite3
from pathlib import Path

import pytest

from kbd.store.engine import migrate, open_writer, quick_check
from kbd.store.jobs import JobStore
from kbd.store.location import database_path
from kbd.store.readers import JobReader
from kbd.store.sqlite_file import open_reader
from kbd.store.states import JobState

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def migrated(tmp_path):
    connection = sqlite3.connect(database_path(tmp_path))
    connection.executescript((GOLDEN / "first.sql").read_text(encoding="utf-8"))
    connection.close()
    engine = open_writer(tmp_path)
    migrate(engine)
    yield engine
    engine.dispose()


def test_its_jobs_are_read(tmp_path, migrated):
    quick_check(migrated)
    with open_reader(tmp_path) as source:
        reader = JobReader(source)
        assert [row.job_id for row in reader.list()] == ["rejected", "queued", "running", "crashed", "passed"]
        passed, crashed = reader.get("passed"), reader.get("crashed")
        assert reader.counts()[JobState.COMPLETED] == 2
        assert [row.job_id for row in reader.list(label=("step", "413"))] == ["queued"]
    assert passed is not None
    assert (passed.state, passed.status, passed.speedup, passed.published) == (
        (JobState.COMPLETED, "passed", 2.31, True)
    )
    assert (passed.owner, passed.priority, passed.labels) == ("ann", 2, {"step": "412", "größe": "µ"})
    assert (passed.result_text, passed.history[0].pid) == ('{"status": "passed"}', 4711)
    assert crashed is not None
    assert [attempt.outcome for attempt in crashed.history] == ["device lost", "crashed"]


def test_its_jobs_go_on(migrated):
    store = JobStore(migrated)
    assert [row.job_id for row in store.running()] == ["running"]
    assert [row.job_id for row in store.unpublished()] == ["crashed", "rejected"]
    assert [row.job_id for row in store.next_submitted(5)] == ["queued"]
    assert store.begin_attempt("queued", "cpu", JobState.VALIDATING) == 1
    assert store.finish("queued", JobState.COMPLETED, "text", "passed")
