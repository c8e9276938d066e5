"""History is restored from the files of the spool, whatever became of the database."""

import sqlite3
from contextlib import closing

import pytest

from kbd.daemon.assembly import JobIdentity, refused
from kbd.daemon.database import open_database
from kbd.daemon.doctor.rebuilding import rebuild
from kbd.daemon.ownership import AlreadyRunning, StateLock
from kbd.inbox.lease import LeaseRecord, find_lease, take_lease
from kbd.inbox.spool import Spool
from kbd.outbox.publisher import publish
from kbd.outbox.report import ErrorReport
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage
from kbd.store.job_filter import JobFilter
from kbd.store.jobs import JobStore
from kbd.store.location import database_path
from kbd.store.readers import JobReader
from kbd.store.sqlite_file import open_reader
from kbd.store.states import JobState

JOB = """
version: 1
priority: 3
labels: {{step: "{number}"}}
candidate: {{kernel_type: torch, source_code: "def f(x): return x"}}
io: {{args: [{{name: x, type: tensor, tensor_spec: {{shape: [4], dtype: float32}}}}]}}
"""
PUBLISHED = ("first", "second", "third", "refused")
# Which device and which attempt it was is not in the files as the database has it; times are to the second.
NOT_IN_FILES = {"sequence", "device", "submitted_at", "started_at", "finished_at"}


def finish(desk, job_id, queued_s=0.0):
    desk.store.begin_attempt(job_id, "cpu0", JobState.COMPILING)
    row = desk.store.get(job_id)
    identity = JobIdentity(job_id, row.manifest_sha256, row.attempts, row.labels)
    error = ErrorReport(type="Unsupported", message="not here")
    result = refused(identity, EvaluationStatus.UNSUPPORTED, Blame.JOB, Stage.LOAD, error, queued=queued_s)
    text, where = result.to_json(), {"stage": "load", "blame": "job", "error_message": "not here"}
    desk.store.finish(job_id, JobState.COMPLETED, text, "unsupported", **where)


@pytest.fixture
def rows(desk, queue, deliver):
    """A spool with history: three jobs that ended, one refused, one that runs and one that waits. Rows by id."""
    for number, job_id in enumerate(("first", "second", "third", "running", "waiting")):
        queue(job_id, text=JOB.format(number=number), owner="ann" if number % 2 else None)
    finish(desk, "first", queued_s=1.5)
    finish(desk, "second")
    finish(desk, "third")
    desk.take_in.round([deliver("refused.yaml", "version: 1", owner="bob")])
    desk.publishing.publish_owed()
    desk.store.begin_attempt("running", "cpu0", JobState.COMPILING)
    found = {job_id: desk.store.get(job_id) for job_id in (*PUBLISHED, "running", "waiting")}
    desk.close()
    return found


def plain(row):
    return {name: getattr(row, name) for name in row.__dataclass_fields__ if name not in NOT_IN_FILES}


def jobs_in(settings):
    with open_reader(settings.state) as source:
        reader = JobReader(source)
        return {row.job_id: reader.get(row.job_id) for row in reader.list()}


def assert_restored(settings, rows):
    with closing(sqlite3.connect(database_path(settings.state))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    engine = open_database(settings.state, check=False)
    store = JobStore(engine)
    for job_id in PUBLISHED:
        assert plain(store.get(job_id)) == plain(rows[job_id])
        assert abs(store.get(job_id).finished_at - rows[job_id].finished_at) < 60
    assert store.get("first").submitted_at == pytest.approx(store.get("first").finished_at - 1.5)
    for job_id in ("running", "waiting"):
        expected = plain(rows[job_id]) | {"state": JobState.SUBMITTED, "attempts": 0}
        assert plain(store.get(job_id)) == expected
    engine.dispose()


def damage(path):
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * 8)


def make_newer(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'tomorrow'")


def leave_wal(path):
    """As a daemon that was killed leaves it, on a file that is no database any more."""
    path.with_name("kbd.db-wal").write_bytes(b"old pages" * 1000)
    path.write_bytes(b"no database" * 1000)


@pytest.mark.parametrize("fault", [damage, make_newer, leave_wal])
def test_a_database_that_cannot_be_used_is_set_aside_and_made_anew(settings, rows, fault):
    fault(database_path(settings.state))
    before = database_path(settings.state).read_bytes()
    rebuilt = rebuild(settings)
    assert (rebuilt.restored, rebuilt.known, rebuilt.queued, rebuilt.unread) == (4, 0, 2, ())
    assert rebuilt.aside.read_bytes() == before
    assert rebuilt.aside.name.startswith("kbd.db.2")
    assert rebuilt.why_aside
    assert_restored(settings, rows)


def test_a_deleted_one_is_made_anew(settings, rows):
    database_path(settings.state).unlink()
    rebuilt = rebuild(settings)
    assert (rebuilt.aside, rebuilt.restored, rebuilt.queued) == (None, 4, 2)
    assert_restored(settings, rows)


def test_twice_is_as_good_as_once(settings, rows):
    database_path(settings.state).unlink()
    rebuild(settings)
    before = jobs_in(settings)
    again = rebuild(settings)
    assert (again.aside, again.restored, again.known, again.queued) == (None, 0, 4, 0)
    assert jobs_in(settings) == before


def test_a_whole_database_is_not_touched(settings, rows):
    before = jobs_in(settings)
    assert rebuild(settings).known == 4
    assert jobs_in(settings) == before


def test_the_next_daemon_goes_on(settings, rows, restart):
    database_path(settings.state).unlink()
    rebuild(settings)
    desk = restart()
    assert [row.job_id for row in desk.store.next_submitted(9)] == ["running", "waiting"]
    assert desk.store.unpublished() == []
    desk.store.begin_attempt("waiting", "cpu0", JobState.COMPILING)
    assert desk.retrying.retry("first").code == "done"


def test_a_daemon_began_anew_before_history_was_missed(settings, rows, open_desk_of, deliver):
    """What came before goes before what there is, so that questions about times are answered right."""
    database_path(settings.state).unlink()
    (settings.state / ".kbd-state").unlink()
    desk = open_desk_of(settings)
    desk.take_in.round([deliver("later.yaml")])
    moment = desk.store.get("later").submitted_at
    desk.close()
    assert rebuild(settings).restored == 4
    with open_reader(settings.state) as source:
        reader = JobReader(source)
        ids = [row.job_id for row in reader.list()]
        assert "later" in [row.job_id for row in reader.matching(JobFilter(since=moment))]
        assert "first" not in [row.job_id for row in reader.matching(JobFilter(since=moment))]
    assert set(ids[-4:]) == set(PUBLISHED)


def test_a_backup_is_brought_up_to_date(settings, desk, queue, restart):
    queue("old")
    finish(desk, "old")
    desk.publishing.publish_owed()
    desk.close()
    backup = database_path(settings.state).read_bytes()
    desk = restart()
    assert desk.take_in is not None
    queue_path = settings.spool / "inbox" / "new.yaml"
    queue_path.write_text(JOB.format(number=1))
    desk.take_in.round([queue_path])
    finish(desk, "new")
    desk.publishing.publish_owed()
    desk.close()
    database_path(settings.state).write_bytes(backup)
    rebuilt = rebuild(settings)
    assert (rebuilt.restored, rebuilt.known) == (1, 1)
    assert list(jobs_in(settings)) == ["new", "old"]


def test_a_result_whose_file_was_not_put_away_is_published_once_more(
    settings, desk, queue, restart, files_in
):
    """The daemon was killed between the two; the next one does the rest."""
    queue("j")
    finish(desk, "j")
    publish(desk.spool, "j", desk.store.get("j").result_text)
    desk.close()
    database_path(settings.state).unlink()
    assert (rebuild(settings).restored, jobs_in(settings)["j"].published) == (1, False)
    desk = restart()
    assert desk.publishing.publish_owed() == 1
    assert (files_in("claimed"), files_in("done")) == ([], ["j.yaml"])
    assert desk.store.get("j").published


def test_what_tells_nothing_is_told(settings, rows):
    spool = settings.spool
    (spool / "outbox" / "strange.json").write_text("{}")
    (spool / "outbox" / "notes.txt").write_text("mine")
    (spool / "outbox" / "copy.json").write_bytes((spool / "outbox" / "first.json").read_bytes())
    (spool / "claimed" / "000001" / "broken.yaml").write_text("version: 1")
    database_path(settings.state).unlink()
    rebuilt = rebuild(settings)
    assert sorted(unread.path.name for unread in rebuilt.unread) == [
        "broken.yaml",
        "copy.json",
        "strange.json",
    ]
    assert_restored(settings, rows)


def test_an_edited_manifest_is_not_taken_for_the_one_that_was_judged(settings, rows):
    (edited,) = (settings.spool / "done").rglob("third.yaml")
    edited.write_text(JOB.format(number=99))
    database_path(settings.state).unlink()
    assert rebuild(settings).restored == 4
    third = jobs_in(settings)["third"]
    assert (third.manifest_text, third.claimed_path, third.labels) == (None, None, {"step": "2"})


def test_not_beside_a_daemon(settings, rows):
    lock = StateLock(settings.lock)
    lock.acquire({})
    with pytest.raises(AlreadyRunning, match="stop it first"):
        rebuild(settings)
    lock.release()


def test_what_another_owner_of_the_spool_has_claimed_is_left_to_it(settings, rows):
    spool = Spool(settings.spool)
    other = LeaseRecord(token="t", state="s", host="far", pid=1, place="p", born=1, lease_s=30)
    take_lease(spool, other, find_lease(spool))
    database_path(settings.state).unlink()
    rebuilt = rebuild(settings)
    assert (rebuilt.restored, rebuilt.queued, "far" in rebuilt.owner) == (4, 0, True)
