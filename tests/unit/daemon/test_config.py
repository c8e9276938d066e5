"""Settings: a flag wins over the environment, the environment over the default."""

import dataclasses
from pathlib import Path

import pytest

from kbd.daemon.config import (
    ConfigError,
    Limits,
    default_spool_root,
    default_state_dir,
    locate,
    resolve,
)

HERE = Path("/here")
ENVIRONMENT = {"KBD_SPOOL": "/env/spool", "KBD_STATE": "/env/state"}


@pytest.mark.parametrize(
    ("flag", "environment", "expected"),
    [
        (HERE, ENVIRONMENT, HERE),
        (HERE, {}, HERE),
        (None, ENVIRONMENT, Path("/env/spool")),
        (None, {"KBD_SPOOL": ""}, None),
        (None, {}, None),
    ],
)
def test_the_spool_is_found_and_known_to_be_named(flag, environment, expected):
    spool, _, named, _ = locate(flag, None, environment)
    assert spool == (expected or default_spool_root())
    assert named == (expected is not None)


@pytest.mark.parametrize(
    ("flag", "environment", "expected"),
    [
        (HERE, ENVIRONMENT, HERE),
        (None, ENVIRONMENT, Path("/env/state")),
        (None, {"KBD_STATE": ""}, None),
        (None, {}, None),
    ],
)
def test_the_state_folder(flag, environment, expected):
    assert locate(None, flag, environment)[1] == (expected or default_state_dir())


def test_a_named_state_folder_names_no_spool():
    assert locate(None, HERE, {})[2] is False


def test_relative_places_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spool, state, *_ = locate(Path("spool"), None, {"KBD_STATE": "state"})
    assert (spool, state) == (tmp_path / "spool", tmp_path / "state")


def test_a_home_in_the_environment_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert locate(None, None, {"KBD_SPOOL": "~/spool"})[0] == Path("/home/somebody/spool")


def test_everything_together():
    settings = resolve(HERE, None, "cuda", ENVIRONMENT | {"KBD_CPU_SLOTS": "3"})
    assert (settings.spool, settings.spool_named) == (HERE, True)
    assert (settings.state, settings.device, settings.cpu_slots) == (Path("/env/state"), "cuda", 3)


def test_defaults():
    settings = resolve(environment={})
    assert (settings.device, settings.cpu_slots, settings.limits) == ("auto", 1, Limits())


@pytest.mark.parametrize("slots", ["", "0", "-1", "two", "1.5", " 1"])
def test_a_number_of_slots_that_makes_no_sense(slots):
    with pytest.raises(ConfigError, match=rf"KBD_CPU_SLOTS .* found '{slots}'"):
        resolve(environment={"KBD_CPU_SLOTS": slots})


def test_settings_are_frozen():
    settings = resolve(environment={})
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.device = "cpu"


def test_everything_of_the_state_lies_in_its_folder():
    settings = resolve(state=HERE, environment={})
    for place in (settings.work, settings.logs, settings.lock):
        assert place.parent == HERE
    assert settings.database == "sqlite"


def test_a_judge_is_told_its_limits():
    stages = Limits(load_s=1, correctness_s=2, timing_s=3, timing_budget_s=4).stages
    assert (stages.load_s, stages.correctness_s, stages.timing_s, stages.timing_budget_s) == (1, 2, 3, 4)
