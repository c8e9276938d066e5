"""What a running daemon takes over, and what waits for the next one."""

from kbd.daemon.config import resolve, resolve_again
from kbd.daemon.configuration.reloading import merge


def test_limits_change_and_the_rest_waits():
    old = resolve(environment={})
    new = resolve(environment={"KBD_LOAD_S": "7", "KBD_CPU_SLOTS": "3"})
    reloaded = merge(old, new)
    assert (reloaded.settings.limits.load_s, reloaded.settings.cpu_slots) == (7, 1)
    assert str(reloaded) == "changed: limits.load_s; needs a restart: cpu_slots"


def test_nothing_changed():
    assert str(merge(resolve(environment={}), resolve(environment={}))) == "nothing changed"


def test_the_file_is_read_again(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("cpu_slots = 2")
    settings = resolve(device="cpu", environment={"KBD_LOAD_S": "7"}, config=path)
    path.write_text("cpu_slots = 3\n[limits]\nload_s = 1\n")
    again = resolve_again(settings)
    assert (again.cpu_slots, again.limits.load_s, again.device) == (3, 7, "cpu")
