"""A spool whose file server hangs is told, and holds nobody up."""

import threading

import pytest

from kbd.daemon.patience import SpoolSilent, open_spool
from kbd.inbox.spool import Spool, SpoolMissing


def test_a_spool_that_answers(tmp_path):
    spool = Spool.create(tmp_path / "spool")
    assert open_spool(spool.root) == spool


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(SpoolMissing, match="kbd init"):
        open_spool(tmp_path)


@pytest.mark.fault("the file server hangs")
def test_one_that_does_not_answer(tmp_path, monkeypatch):
    answers = threading.Event()
    monkeypatch.setattr(Spool, "require", lambda _: answers.wait())
    with pytest.raises(SpoolSilent, match="does not answer for 0 s"):
        open_spool(tmp_path, patience_s=0.1)
    answers.set()
