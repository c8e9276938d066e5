import pytest

from kbd.inbox.spool import Spool


def test_it_makes_a_spool_and_says_where(kbd, tmp_path):
    root = tmp_path / "new" / "spool"
    ended = kbd("init", "--spool", root)
    assert ended.code == 0
    assert f"spool  {root}" in ended.out
    assert f"kbd run --spool {root}" in ended.err
    Spool.open(root)


def test_again_is_harmless(kbd, place):
    (place.spool_root / "inbox" / "a.yaml").write_text("kept")
    assert kbd("init").code == 0
    assert (place.spool_root / "inbox" / "a.yaml").read_text() == "kept"


@pytest.fixture
def home(kbd, tmp_path, monkeypatch):
    """A user without any setting."""
    for name in ("KBD_SPOOL", "KBD_STATE"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "states"))
    return tmp_path


def test_the_default_places(kbd, home):
    ended = kbd("init")
    assert ended.code == 0, ended.err
    assert f"spool  {home / 'data' / 'kbd' / 'spool'}" in ended.out
    assert f"state  {home / 'states' / 'kbd'}" in ended.out
    assert ended.err.strip().endswith("kbd run"), "nobody needs to name the default"
