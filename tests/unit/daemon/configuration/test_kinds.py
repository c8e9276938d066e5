"""Values from text and from TOML, and what each kind refuses."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.configuration.kinds import LOCATION, SECONDS, OneOf, Unfit, Whole


@given(st.integers(min_value=0))
def test_whole_numbers_are_the_same_from_text_and_toml(number):
    assert Whole(0).from_text(str(number)) == Whole(0).from_toml(number) == number


@given(st.text())
def test_any_text_is_taken_or_refused(text):
    for kind in (Whole(), SECONDS, LOCATION, OneOf(("a",))):
        try:
            kind.from_text(text)
        except Unfit:
            continue


@pytest.mark.parametrize("value", [True, 0, 11, 1.0, "5", None, []])
def test_what_is_no_whole_number_of_the_range(value):
    with pytest.raises(Unfit):
        Whole(1, 10).from_toml(value)


@pytest.mark.parametrize("value", [True, 0, -1.5, math.inf, math.nan, "5"])
def test_what_is_no_duration(value):
    with pytest.raises(Unfit):
        SECONDS.from_toml(value)


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "1_0", " 1", "²"])
def test_what_is_no_duration_as_text(text):
    with pytest.raises(Unfit):
        SECONDS.from_text(text)


def test_durations_may_have_parts():
    assert SECONDS.from_text("0.5") == SECONDS.from_toml(0.5) == 0.5
    assert SECONDS.from_toml(3) == 3.0


def test_relative_locations_mean_something_in_a_shell_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert LOCATION.from_text("a") == tmp_path / "a"
    with pytest.raises(Unfit):
        LOCATION.from_toml("a")


def test_homes_are_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert LOCATION.from_toml("~/spool") == Path("/home/me/spool")
    with pytest.raises(Unfit):
        LOCATION.from_toml("~nobody-of-this-name/spool")
