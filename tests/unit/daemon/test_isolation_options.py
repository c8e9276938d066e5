"""Isolation as it is configured."""

import pytest

from kbd.daemon.config import ConfigError, resolve
from kbd.daemon.configuration.table import SETTINGS
from kbd.daemon.executor.sandbox.host_memory import host_memory_bytes
from kbd.daemon.executor.sandbox.layers import Level
from kbd.daemon.executor.sandbox.plan import Bounds
from kbd.daemon.isolation_options import IsolationOptions

MIB = 1 << 20
VARIABLES = {
    setting.variable: setting.attribute.removeprefix("isolation.")
    for setting in SETTINGS
    if setting.attribute.startswith("isolation.")
}


def test_defaults_are_those_of_the_sandbox_and_half_of_the_memory():
    half = host_memory_bytes() // 2
    assert IsolationOptions().settings().bounds == Bounds(memory_bytes=half)


def test_everything_can_be_set_in_the_environment():
    environment = dict.fromkeys(VARIABLES, str(MIB)) | {"KBD_ISOLATION_MINIMUM": "full"}
    options = resolve(environment=environment).isolation
    assert options.minimum is Level.FULL
    assert {getattr(options, option) for option in VARIABLES.values() if option != "minimum"} == {MIB}


def test_every_option_has_a_variable():
    assert set(VARIABLES.values()) == set(IsolationOptions.__dataclass_fields__)


def test_bounds_reach_the_sandbox():
    options = resolve(
        environment={"KBD_RUNNER_TEMPORARY_BYTES": "4096", "KBD_RUNNER_PROCESSES": "7"}
    ).isolation
    bounds = options.settings().bounds
    assert (bounds.temporary_bytes, bounds.processes) == (4096, 7)


def test_spool_and_state_are_hidden(tmp_path):
    settings = resolve(tmp_path / "spool", tmp_path / "state", environment={})
    assert {str(tmp_path / "spool"), str(tmp_path / "state")} <= set(settings.sandboxing.hidden)


def test_a_level_that_does_not_exist():
    with pytest.raises(ConfigError, match=r"KBD_ISOLATION_MINIMUM must be one of none, process, .* 'high'"):
        resolve(environment={"KBD_ISOLATION_MINIMUM": "high"})


def test_a_number_that_is_none():
    with pytest.raises(ConfigError, match=r"KBD_RUNNER_PROCESSES .* found 'many'"):
        resolve(environment={"KBD_RUNNER_PROCESSES": "many"})
