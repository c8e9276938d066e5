"""What was renamed into claimed/ and could not be recorded or read is tried again by the next round."""

import errno

import pytest

from kbd.inbox import intake as intake_module
from kbd.inbox import quarantine as quarantine_module
from kbd.inbox.spool import SpoolMissing
from kbd.store.errors import StoreUnavailable


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
