"""What was renamed into claimed/ and could not be recorded or read is tried again by the next round."""

import errno
import json
import shutil

import pytest

from kbd.inbox import intake as intake_module
from kbd.inbox import quarantine as quarantine_module
from kbd.inbox.spool import SpoolMissing
from kbd.store.errors import StoreUnavailable
from kbd.store.states import JobState


@pytest.fixture
def open_desk_of(open_desk_of):
    """Of a daemon that tries again at once what it has put off."""

    def opened(settings):
        desk = open_desk_of(settings)
        desk.take_in.put_off.again_s = 0.0
        return desk

    return opened


@pytest.mark.fault("the database is locked")
def test_after_the_database_was_unavailable_the_next_round_records_it(desk, deliver, monkeypatch):
    def refuse(_jobs):
        raise StoreUnavailable("database is locked")

    monkeypatch.setattr(desk.store, "add", refuse)
    with pytest.raises(StoreUnavailable):
        desk.take_in.round([deliver("j.yaml")])
    monkeypatch.undo()
    desk.take_in.round([])
    assert desk.store.get("j") is not None


@pytest.mark.fault("a file handle is stale")
def test_after_a_read_error_the_next_round_reads_it(desk, deliver, monkeypatch):
    def fail(*_args, **_options):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(intake_module, "read_job", fail)
    desk.take_in.round([deliver("j.yaml")])
    monkeypatch.undo()
    desk.take_in.round([])
    assert desk.store.get("j") is not None


def fails(*_args, **_options):
    raise OSError(errno.EIO, "Input/output error")


@pytest.mark.fault("fsync or close reports an error")
def test_after_the_folder_could_not_be_made_durable_the_next_round_records_it(desk, deliver, monkeypatch):
    monkeypatch.setattr(intake_module, "fsync_folder", fails)
    with pytest.raises(OSError, match="Input/output error"):
        desk.take_in.round([deliver("j.yaml")])
    assert desk.store.get("j") is None
    monkeypatch.undo()
    desk.take_in.round([])
    assert desk.store.get("j") is not None


@pytest.mark.fault("the spool is unmounted")
def test_when_the_spool_goes_away_in_the_middle_of_a_batch_what_was_taken_is_not_forgotten(
    desk, deliver, monkeypatch
):
    take = desk.take_in._intake.take

    def take_one(delivery):
        if delivery.name == "b.yaml":
            raise SpoolMissing("not mounted")
        return take(delivery)

    hints = [deliver("a.yaml"), deliver("b.yaml")]
    with monkeypatch.context() as patch:
        patch.setattr(desk.take_in._intake, "take", take_one)
        with pytest.raises(SpoolMissing):
            desk.take_in.round(hints)
    assert desk.store.get("a") is None
    desk.take_in.round(hints)
    assert [desk.store.get(name) is not None for name in "ab"] == [True, True]


def test_what_could_not_be_moved_to_quarantine_waits_for_it(desk, deliver, files_in, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(quarantine_module, "rename_once", fails)
        taken = desk.take_in.round([deliver("bad.yaml", "x: 1")])
    assert (taken.refused, taken.waiting) == (0, 1)
    assert files_in("quarantine") == ["bad.yaml.reason.json"]
    taken = desk.take_in.round([])
    assert (taken.refused, taken.waiting) == (1, 0)
    assert (files_in("claimed"), "bad.yaml" in files_in("quarantine")) == ([], True)
    assert desk.store.get("bad").status == "invalid_job"


def test_what_a_start_could_not_read_is_read_later(restart, desk, deliver, monkeypatch):
    deliver("j.yaml").rename(desk.lease.epoch_folder / "j.yaml")
    with monkeypatch.context() as patch:
        patch.setattr(intake_module, "read_job", fails)
        desk = restart()
    assert desk.store.get("j") is None
    desk.take_in.round([])
    assert desk.store.get("j") is not None


def denied(*_args, **_options):
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.fault("a permission is denied for a moment")
def test_what_may_not_be_read_for_a_moment_is_a_job_and_what_never_may_is_rejected(
    desk, deliver, files_in, monkeypatch
):
    now = 100.0
    desk.take_in._intake._clock = lambda: now
    read_job = intake_module.read_job
    monkeypatch.setattr(intake_module, "read_job", denied)
    taken = desk.take_in.round([deliver("passing.yaml"), deliver("lasting.yaml")])
    assert (taken.refused, taken.waiting) == (0, 2)

    def read(path, **options):
        return denied() if path.name == "lasting.yaml" else read_job(path, **options)

    monkeypatch.setattr(intake_module, "read_job", read)
    assert desk.take_in.round([]).queued == 1
    for _ in range(2):
        now += 3
        taken = desk.take_in.round([])
    assert (taken.refused, taken.waiting) == (1, 0)
    assert desk.store.get("passing").state is JobState.SUBMITTED
    row = desk.store.get("lasting")
    assert (row.state, row.status, row.blame) == (JobState.REJECTED, "invalid_job", "job")
    assert json.loads(row.result_text)["error"]["type"] == "unreadable"
    assert "chmod a+r" in row.error_message
    assert "lasting.yaml" in files_in("quarantine")


@pytest.mark.fault("a job is deleted from claimed/")
def test_the_folder_of_an_owner_that_is_deleted_with_what_waits_in_it_holds_up_nobody(
    desk, deliver, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(intake_module, "read_job", denied)
        desk.take_in.round([deliver("j.yaml", owner="ann")])
    shutil.rmtree(desk.lease.epoch_folder / "@ann")
    assert desk.take_in.round([deliver("other.yaml")]).queued == 1
    row = desk.store.get("j")
    assert (row.state, row.status) == (JobState.FAILED, "harness_error")
    assert "deleted from claimed/" in row.error_message


def test_a_row_of_failed_reads_begins_anew_with_a_daemon(restart, desk, deliver, monkeypatch):
    monkeypatch.setattr(intake_module, "read_job", denied)
    desk.take_in._intake._clock = iter([100.0, 103.0, 106.0]).__next__
    for hints in ([deliver("j.yaml")], [], []):
        desk.take_in.round(hints)
    desk = restart()
    assert (desk.take_in.round([]).refused, desk.store.get("j")) == (0, None)
    monkeypatch.undo()
    assert desk.take_in.round([]).queued == 1


def test_what_waits_to_be_read_takes_up_room_in_the_queue(desk, deliver, files_in, monkeypatch):
    """Else a file system that fails would empty the inbox into claimed/."""
    desk.take_in.headroom.queue_limit = 2
    with monkeypatch.context() as patch:
        patch.setattr(intake_module, "read_job", fails)
        hints = [deliver(f"{number}.yaml") for number in range(5)]
        assert desk.take_in.round(hints).waiting == 2
        taken = desk.take_in.round([])
        assert "2 claimed files cannot be read" in taken.held
        assert (taken.waiting, len(files_in("claimed"))) == (2, 2)
    assert desk.take_in.round([]).queued == 2


@pytest.mark.fault("a file handle is stale")
def test_what_was_put_off_is_not_forgotten_where_strays_cannot_be_looked_for(desk, deliver, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(intake_module, "read_job", fails)
        desk.take_in.round([deliver("j.yaml")])
    with monkeypatch.context() as patch:
        patch.setattr(desk.take_in._strays, "look", fails)
        with pytest.raises(OSError, match="Input/output error"):
            desk.take_in.round([])
    desk.take_in.round([])
    assert desk.store.get("j") is not None
