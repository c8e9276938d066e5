"""The whole examination: nothing stops it, and whatever is wrong has a cure."""

import pytest

from kbd.daemon.doctor.check import Check, State, ok
from kbd.daemon.doctor.examination import examine


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_a_spool_in_order(place):
    assert [check for check in examine(place) if check.state is State.FAIL] == []


def test_wrong_settings_are_told_and_the_rest_is_looked_at(place, monkeypatch):
    monkeypatch.setenv("KBD_CPU_SLOTS", "none")
    monkeypatch.setenv("KBD_LOAD_S", "-1")
    checks = list(examine(place, [lambda _: iter([ok("rest", "seen")])]))
    assert [(check.name, check.state) for check in checks] == [
        ("settings", State.FAIL),
        ("settings", State.FAIL),
        ("rest", State.OK),
    ]


def test_what_cannot_be_looked_at_stops_nothing(place):
    def broken_thing(_):
        raise PermissionError("not for you")
        yield

    settings, broken, rest = examine(place, [broken_thing, lambda _: iter([ok("rest", "seen")])])
    assert (settings.state, rest.state) == (State.OK, State.OK)
    assert (broken.name, broken.state) == ("broken thing", State.WARN)
    assert "not for you" in broken.finding


@pytest.mark.parametrize(("state", "cure"), [(State.FAIL, None), (State.WARN, None), (State.OK, "why")])
def test_a_check_with_a_fault_has_a_cure(state, cure):
    with pytest.raises(ValueError, match="cure"):
        Check("a", state, "b", cure)
