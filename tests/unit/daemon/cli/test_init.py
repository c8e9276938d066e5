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
    assert "kbd run" in ended.err.splitlines()[1].split("  "), "nobody needs to name the default"


def test_settings_and_unit_are_written_beside_each_other(kbd, tmp_path):
    ended = kbd("init", tmp_path / "mine")
    folder = tmp_path / "config" / "kbd"
    assert f"config {folder / 'config.toml'}" in ended.out
    assert f'\nspool = "{tmp_path / "mine"}"\n' in (folder / "config.toml").read_text()
    assert f"run --config {folder / 'config.toml'}\n" in (folder / "kbd.service").read_text()
    assert f"systemctl --user enable --now {folder / 'kbd.service'}" in ended.err
    assert kbd("config", "check").code == 0


def test_what_was_written_names_the_spool_from_now_on(kbd, tmp_path, monkeypatch):
    kbd("init", tmp_path / "mine")
    monkeypatch.delenv("KBD_SPOOL")
    assert kbd("health").out == f"absent: no daemon works on {tmp_path / 'mine'}\n"


def test_what_is_there_is_kept_unless_forced(kbd, tmp_path):
    config = tmp_path / "config" / "kbd" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("cpu_slots = 3\n")
    assert f"{config} was there and is kept" in kbd("init").err
    assert config.read_text() == "cpu_slots = 3\n"
    kbd("init", "--force")
    assert "# cpu_slots = 1" in config.read_text()


def test_the_spool_alone(kbd, tmp_path):
    assert kbd("init", "--spool-only").code == 0
    assert not (tmp_path / "config").exists()


def test_a_service_of_the_system(kbd, tmp_path):
    config = tmp_path / "etc" / "config.toml"
    user = "kbd-nobody-has-this-name"
    ended = kbd(
        "init", tmp_path / "s", "--system", "--config", config, "--state", tmp_path / "st", "--user", user
    )
    unit = (config.parent / "kbd.service").read_text()
    assert f"\nUser={user}\n" in unit
    steps = [line.strip() for line in ended.err.splitlines()]
    assert f"useradd --system --home-dir {tmp_path / 'st'} {user}" in steps
    assert f"chown -R {user}: {tmp_path / 's'} {tmp_path / 'st'}" in steps
    assert f"systemctl enable --now {config.parent / 'kbd.service'}" in steps


@pytest.mark.parametrize("arguments", [("a", "--spool", "b"), ("--system",)])
def test_what_cannot_be_meant(kbd, monkeypatch, tmp_path, arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KBD_SPOOL")
    assert kbd("init", *arguments).code == 2
    assert not (tmp_path / "a").exists()


def test_before_it_the_way_to_it_is_told(kbd, home):
    ended = kbd("status")
    assert ended.code == 3
    assert f"there is no spool at {home / 'data' / 'kbd' / 'spool'} yet. `kbd init` makes it" in ended.err
