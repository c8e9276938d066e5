"""Publishing what is owed: once, whole, and later if the outbox refuses now."""

import errno
import os
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from kbd.daemon.assembly import JobIdentity, refused
from kbd.inbox.epoch import EpochLost
from kbd.outbox.publisher import read_result
from kbd.outbox.report import ErrorReport
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage
from kbd.store.readers import JobReader
from kbd.store.sqlite_file import open_reader
from kbd.store.states import JobState


def result_text(job_id, message="not here"):
    return refused(
        JobIdentity(job_id, "a" * 64, 1, {}),
        EvaluationStatus.UNSUPPORTED,
        Blame.JOB,
        Stage.LOAD,
        ErrorReport(type="Unsupported", message=message),
    ).to_json()


@pytest.fixture
def finished(desk, queue):
    """Jobs that have a result which is owed to the outbox."""

    def finish(*names):
        queue(*names)
        for name in names:
            desk.store.begin_attempt(name, "cpu0", JobState.COMPILING)
            desk.store.finish(name, JobState.COMPLETED, result_text(name), "unsupported")

    return finish


@pytest.fixture
def outbox_refuses(monkeypatch):
    """As a full or read-only outbox; permissions would not stop root."""

    def refuse(code):
        def fail(*_args, **_options):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "link", fail)

    return refuse


def test_results_appear_and_their_files_are_filed(desk, finished, files_in):
    finished("a", "b")
    assert desk.publishing.publish_owed() == 2
    assert (desk.spool.outbox / "a.json").read_text() == result_text("a")
    assert read_result(desk.spool, "b").status == "unsupported"
    assert (files_in("claimed"), files_in("done")) == ([], ["a.yaml", "b.yaml"])
    assert desk.store.get("a").published
    assert desk.publishing.publish_owed() == 0


def test_nothing_is_owed_for_jobs_without_a_result(desk, queue):
    queue("j")
    desk.publishing.publish_one("j")
    desk.publishing.publish_one("nobody")
    assert desk.publishing.publish_owed() == 0
    assert list(desk.spool.outbox.glob("*.json")) == []


def test_one_result_at_once(desk, finished):
    finished("a", "b")
    desk.publishing.publish_one("b")
    assert [path.stem for path in desk.spool.outbox.glob("*.json")] == ["b"]
    assert desk.publishing.publish_owed() == 1


def test_a_result_is_not_published_twice(desk, finished):
    finished("a")
    desk.publishing.publish_owed()
    inode = (desk.spool.outbox / "a.json").stat().st_ino
    desk.publishing.publish_one("a")
    desk.publishing.publish_owed()
    assert (desk.spool.outbox / "a.json").stat().st_ino == inode


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
@pytest.mark.fault("the outbox is read-only")
@pytest.mark.fault("a quota is used up")
def test_an_outbox_that_refuses_gets_it_later(desk, finished, files_in, outbox_refuses, monkeypatch, code):
    finished("a")
    outbox_refuses(code)
    for _ in range(2):
        with pytest.raises(OSError, match=os.strerror(code)):
            desk.publishing.publish_owed()
    assert not desk.store.get("a").published
    assert files_in("claimed") == ["a.yaml"]
    assert files_in("outbox") == [], "nothing half-written"
    monkeypatch.undo()
    assert desk.publishing.publish_owed() == 1
    assert (desk.spool.outbox / "a.json").exists()


def test_a_file_that_cannot_be_filed_holds_up_no_other_result(desk, finished, monkeypatch):
    """As a job's folder whose owner has taken the daemon's permission to write away; it would not stop root."""
    finished("a", "b", "c")
    finish = desk.publishing._intake.finish

    def refuse(path):
        if path.name == "a.yaml":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        return finish(path)

    with monkeypatch.context() as patch:
        patch.setattr(desk.publishing._intake, "finish", refuse)
        with pytest.raises(PermissionError):
            desk.publishing.publish_owed()
    assert sorted(path.stem for path in desk.spool.outbox.glob("*.json")) == ["a", "b", "c"]
    assert [desk.store.get(name).published for name in "abc"] == [False, True, True]
    assert desk.publishing.publish_owed() == 1


def test_however_many_cannot_be_filed_the_others_have_their_turns(desk, finished, monkeypatch):
    names = [f"j{number}" for number in range(9)]
    finished(*names)
    finish = desk.publishing._intake.finish

    def refuse(path):
        if path.stem < "j8":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        return finish(path)

    monkeypatch.setattr(desk.publishing._intake, "finish", refuse)
    for _ in range(3):
        assert not desk.store.get("j8").published
        with pytest.raises(PermissionError):
            desk.publishing.publish_owed()
    assert desk.store.get("j8").published
    monkeypatch.undo()
    assert desk.publishing.publish_owed() == 8


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not stop root")
@pytest.mark.fault("the outbox is read-only")
def test_an_outbox_without_write_permission(desk, finished):
    finished("a")
    desk.spool.outbox_tmp.chmod(0o500)
    with pytest.raises(PermissionError):
        desk.publishing.publish_owed()
    desk.spool.outbox_tmp.chmod(0o700)
    assert desk.publishing.publish_owed() == 1


def test_a_crash_between_publishing_and_marking(desk, finished, monkeypatch):
    finished("a")

    def die(*_args):
        raise SystemExit

    monkeypatch.setattr(desk.store, "mark_published", die)
    with pytest.raises(SystemExit):
        desk.publishing.publish_owed()
    monkeypatch.undo()
    assert desk.publishing.publish_owed() == 1
    assert desk.store.get("a").published
    assert (desk.spool.outbox / "a.json").read_text() == result_text("a")


@pytest.mark.fault("another job has the same id")
def test_another_result_that_lies_there_stays(desk, finished, files_in):
    finished("a", "b")
    theirs = result_text("a", "of another life")
    (desk.spool.outbox / "a.json").write_text(theirs)
    with capture_logs() as logs:
        assert desk.publishing.publish_owed() == 2
    assert (desk.spool.outbox / "a.json").read_text() == theirs
    assert [record["job"] for record in logs if record["action"] == "publish_conflict"] == ["a"]
    assert (desk.spool.outbox / "b.json").exists()
    assert desk.publishing.publish_owed() == 0, "a conflict is not tried again for ever"


@pytest.mark.fault("a paused daemon wakes")
def test_a_job_that_was_judged_twice_is_told_as_it_was_published(desk, finished, files_in):
    finished("a", "b")
    identity = JobIdentity("a", desk.store.get("a").manifest_sha256, 2, {})
    error = ErrorReport(type="Lost", message="by the other owner")
    status, blame = EvaluationStatus.HARNESS_ERROR, Blame.HARNESS
    theirs = refused(identity, status, blame, Stage.INTAKE, error).to_json()
    (desk.spool.outbox / "a.json").write_text(theirs)
    assert desk.publishing.publish_owed() == 2
    row = desk.store.get("a")
    assert (row.state, row.status, row.blame) == (JobState.FAILED, "harness_error", "harness")
    assert (row.result_text, row.error_message) == (theirs, "by the other owner")
    assert (desk.spool.outbox / "a.json").read_text() == theirs
    assert (desk.publishing.publish_owed(), files_in("done")) == (0, ["a.yaml", "b.yaml"])
    with open_reader(desk.state) as source:
        assert JobReader(source).status_counts() == {"harness_error": 1, "unsupported": 1}


def test_a_rejected_file_has_its_result_before_it_is_moved_away(desk, deliver, files_in, monkeypatch):
    """In quarantine no other host looks for jobs without a result."""

    def die(_refusals):
        raise SystemExit

    monkeypatch.setattr(desk.take_in._intake._quarantine, "put_all", die)
    with pytest.raises(SystemExit):
        desk.take_in.round([deliver("bad.yaml", "nonsense")])
    assert read_result(desk.spool, "bad").status == "invalid_job"
    assert (files_in("claimed"), files_in("done")) == (["bad.yaml"], [])


@pytest.mark.fault("a disk is full")
def test_a_rejected_file_has_its_result_when_the_outbox_takes_it(desk, deliver, outbox_refuses, monkeypatch):
    outbox_refuses(errno.ENOSPC)
    desk.take_in.round([deliver("bad.yaml", "nonsense")])
    assert read_result(desk.spool, "bad") is None
    monkeypatch.undo()
    assert desk.publishing.publish_owed() == 1
    assert read_result(desk.spool, "bad").status == "invalid_job"


@pytest.mark.fault("a job is deleted from claimed/")
def test_a_file_that_somebody_took_away_is_no_obstacle(desk, finished):
    finished("a")
    (desk.spool.root / desk.store.get("a").claimed_path).unlink()
    assert desk.publishing.publish_owed() == 1
    assert desk.store.get("a").published


@pytest.mark.fault("a paused daemon wakes")
def test_a_daemon_that_no_longer_owns_the_spool_publishes_nothing(
    desk, finished, tmp_path, settings, open_desk_of
):
    finished("j")
    settings = replace(settings, state=tmp_path / "another")
    settings.state.mkdir()
    successor = open_desk_of(settings)
    with pytest.raises(EpochLost, match="has taken"):
        desk.publishing.publish_owed()
    with pytest.raises(EpochLost):
        desk.publishing.publish_one("j")
    assert list(desk.spool.outbox.glob("*.json")) == []
    assert not desk.store.get("j").published
    successor.close()
