"""The desk keeps the spool tidy, and claims no more than there is room for."""

from dataclasses import replace

import pytest

from kbd.daemon.config import Limits
from kbd.inbox.control import Answer, AnswerCode


@pytest.mark.fault("a client dies while writing")
def test_what_dead_clients_left_is_removed(desk, monkeypatch):
    left = desk.spool.inbox / ".dead.tmp"
    left.write_text("half a job")
    monkeypatch.setattr(desk.scanner, "abandoned", lambda: [left])
    desk.control.answer("nobody", Answer(code=AnswerCode.DONE, message=""))
    assert desk.tidy() == 1
    assert not left.exists()
    monkeypatch.setattr(desk.scanner, "abandoned", list)
    assert desk.tidy() == 1, "the answer, seen twice"
    assert desk.tidy() == 0


@pytest.mark.fault("a client dies while writing")
def test_one_that_cannot_be_removed_keeps_nothing_else(desk, monkeypatch):
    left = desk.spool.inbox / ".dead.tmp"
    left.write_text("half a job")
    no_folder = left / ".dead.tmp"
    monkeypatch.setattr(desk.scanner, "abandoned", lambda: [no_folder, left])
    desk.control.answer("nobody", Answer(code=AnswerCode.DONE, message=""))
    assert [desk.tidy(), desk.tidy()] == [1, 1], "the file, then the answer"


@pytest.fixture
def narrow(settings):
    return replace(settings, limits=Limits(queue_limit=2))


@pytest.mark.fault("thousands of jobs at once")
def test_no_more_is_claimed_than_there_is_room_for(narrow, deliver, open_desk_of):
    desk = open_desk_of(narrow)
    hints = [deliver(f"a{number}.yaml") for number in range(3)]
    assert desk.take_in.round(hints).queued == 2
    held = desk.take_in.round([])
    assert (held.any, "KBD_QUEUE_LIMIT" in (held.held or "")) == (False, True)
    assert len(list(desk.spool.inbox.iterdir())) == 1
    desk.close()
