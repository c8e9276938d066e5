from kbd.daemon.snapshot import Holds
from kbd.inbox.pause import Pause

PAUSE = Pause(by="ann@box", reason="new driver", since="noon")


def test_nothing_holds_anybody():
    assert str(Holds()) == ""


def test_every_reason_is_told():
    assert str(Holds(PAUSE)) == "by ann@box since noon: new driver"
    text = str(Holds(PAUSE, Pause(by="bob", since="one"), "disk full"))
    assert text == "by ann@box since noon: new driver; draining, by bob since one; disk full"
