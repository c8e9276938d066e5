"""Opening the desk: spool, database, epoch."""

import dataclasses

import pytest

from kbd.daemon.desk import open_spool
from kbd.inbox.spool import SpoolMissing


def test_every_opening_is_a_new_epoch(restart, settings):
    epochs = []
    for _ in range(3):
        restart()
        epochs.append(sorted(path.name for path in (settings.spool / "claimed").iterdir()))
    assert epochs == [["000001"], ["000002"], ["000003"]]


def test_a_named_spool_must_exist(settings, tmp_path):
    with pytest.raises(SpoolMissing, match="kbd init"):
        open_spool(dataclasses.replace(settings, spool=tmp_path / "elsewhere"))
    assert not (tmp_path / "elsewhere").exists()


def test_the_default_spool_is_created(settings, tmp_path):
    open_spool(dataclasses.replace(settings, spool=tmp_path / "elsewhere", spool_named=False))
    assert (tmp_path / "elsewhere" / "inbox").is_dir()


def test_a_new_database_is_made(settings, tmp_path, open_desk_of):
    (tmp_path / "new").mkdir()
    desk = open_desk_of(dataclasses.replace(settings, state=tmp_path / "new"))
    assert desk.store.unpublished() == []
    desk.close()
