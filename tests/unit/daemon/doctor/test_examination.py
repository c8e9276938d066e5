"""The whole examination: nothing stops it, and whatever is wrong has a cure."""

import threading

import pytest

from kbd.daemon import patience
from kbd.daemon.doctor import database
from kbd.daemon.doctor.check import Check, State, ok
from kbd.daemon.doctor.examination import examine
from kbd.inbox.spool import Spool


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


@pytest.mark.fault("the file server hangs")
def test_a_spool_that_does_not_answer_is_told_and_not_looked_at(place, monkeypatch):
    answers = threading.Event()
    monkeypatch.setattr(patience.open_spool, "__defaults__", (0.1,))
    monkeypatch.setattr(Spool, "require", lambda _: answers.wait())

    def of_spool(_):
        raise AssertionError("it would hang here")
        yield

    settings, told, sqlite = examine(place, [of_spool, database.sqlite])
    answers.set()
    assert (settings.state, told.state, sqlite.name) == (State.OK, State.FAIL, "SQLite")
    assert "does not answer" in told.finding


@pytest.mark.parametrize(("state", "cure"), [(State.FAIL, None), (State.WARN, None), (State.OK, "why")])
def test_a_check_with_a_fault_has_a_cure(state, cure):
    with pytest.raises(ValueError, match="cure"):
        Check("a", state, "b", cure)
