"""The table of settings is complete, and each entry leads somewhere."""

from dataclasses import fields

import pytest

from kbd.daemon.config import Limits, MetricsSettings, resolve, value_of
from kbd.daemon.configuration.kinds import DATABASE, LOCATION, OneOf
from kbd.daemon.configuration.table import SETTINGS
from kbd.daemon.isolation_options import IsolationOptions

KEYS = [setting.key for setting in SETTINGS]
PARTS = {"limits": Limits, "isolation": IsolationOptions, "metrics": MetricsSettings}


def test_names_are_unique():
    assert len(set(KEYS)) == len(KEYS)
    assert len({setting.variable for setting in SETTINGS}) == len(KEYS)


@pytest.mark.parametrize("part", PARTS)
def test_every_field_can_be_set(part):
    settable = {setting.attribute for setting in SETTINGS}
    assert {f"{part}.{field.name}" for field in fields(PARTS[part])} <= settable


@pytest.mark.parametrize("setting", SETTINGS, ids=KEYS)
def test_what_the_environment_says_arrives(setting):
    if isinstance(setting.kind, OneOf):
        text = setting.kind.words[-1]
    else:
        text = {LOCATION: "/else/where", DATABASE: "postgresql://kbd@/kbd"}.get(setting.kind, "7")
    settings = resolve(environment={setting.variable: text})
    assert str(value_of(settings, setting)) in (text, f"{text}.0")


@pytest.mark.parametrize("setting", SETTINGS, ids=KEYS)
def test_what_can_change_in_a_running_daemon_is_a_limit(setting):
    # A lease is kept as it was taken: standbys were told how long it lasts.
    assert setting.live == (setting.key.startswith("limits.") and setting.key != "limits.lease_s")


@pytest.mark.parametrize("setting", SETTINGS, ids=KEYS)
def test_times_and_sizes_say_their_unit(setting):
    if "second" in setting.kind.expected:
        assert setting.name.endswith("_s")
