"""What was renamed into claimed/ and could not be recorded or read is tried again by the next round."""

import errno

import pytest

from kbd.inbox import intake as intake_module
from kbd.store.errors import StoreUnavailable


def test_after_the_database_was_unavailable_the_next_round_records_it(desk, deliver, monkeypatch):
    def refuse(_jobs):
        raise StoreUnavailable("database is locked")

    monkeypatch.setattr(desk.store, "add", refuse)
    with pytest.raises(StoreUnavailable):
        desk.take_in.round([deliver("j.yaml")])
    monkeypatch.undo()
    desk.take_in.round([])
    assert desk.store.get("j") is not None


def test_after_a_read_error_the_next_round_reads_it(desk, deliver, monkeypatch):
    def fail(*_args, **_options):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(intake_module, "read_job", fail)
    desk.take_in.round([deliver("j.yaml")])
    monkeypatch.undo()
    desk.take_in.round([])
    assert desk.store.get("j") is not None
