import pytest

from kbd.inbox.control import ControlRequest, Verb
from kbd.inbox.pause import Pause, end_pause, keep_pause, read_pause
from kbd.inbox.spool import Spool


@pytest.fixture
def spool(tmp_path):
    return Spool.create(tmp_path / "spool")


def test_nobody_has_paused(spool):
    assert read_pause(spool) is None
    assert not end_pause(spool)


def test_a_pause_is_kept_until_it_is_ended(spool):
    pause = Pause.wanted(ControlRequest(verb=Verb.PAUSE, by="ann@box", reason="new driver"))
    keep_pause(spool, pause)
    assert read_pause(spool) == pause
    assert "ann@box" in str(pause)
    assert str(pause).endswith(": new driver")
    assert end_pause(spool)
    assert read_pause(spool) is None


def test_a_later_pause_replaces_an_earlier_one(spool):
    for reason in ("one", "two"):
        keep_pause(spool, Pause(by="ann", reason=reason, since="now"))
    found = read_pause(spool)
    assert found is not None
    assert found.reason == "two"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"by": 1}', "x" * (1 << 17)])
def test_when_in_doubt_it_is_paused(spool, content):
    spool.pause_file.write_text(content)
    found = read_pause(spool)
    assert found is not None
    assert "kbd resume" in str(found)
    end_pause(spool)
    assert read_pause(spool) is None
