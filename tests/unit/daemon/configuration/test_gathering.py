"""Every source in its rank; everything wrong at once."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.config import ConfigError, resolve
from kbd.daemon.configuration.gathering import as_toml


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "config.toml"
        path.write_text(text)
        return path

    return write


def problems_of(path, **environment):
    with pytest.raises(ConfigError) as caught:
        resolve(environment=environment, config=path)
    return [problem.removeprefix(f"{path}, ") for problem in caught.value.problems]


def test_flags_win_over_the_environment_and_that_over_the_file(file):
    path = file('spool = "/file/spool"\nstate = "/file/state"\ncpu_slots = 4\ndevice = "cuda"\n')
    environment = {"KBD_STATE": "/env/state", "KBD_DEVICE": "auto"}
    settings = resolve(device="cpu", environment=environment, config=path)
    assert (settings.spool, settings.spool_named) == (Path("/file/spool"), True)
    assert (settings.state, settings.cpu_slots, settings.device) == (Path("/env/state"), 4, "cpu")
    sources = {key: given.source for key, given in settings.origin.given.items()}
    assert sources == {
        "spool": f"{path}, line 1",
        "state": "environment KBD_STATE",
        "cpu_slots": f"{path}, line 3",
        "device": "flag --device",
    }


def test_every_part_of_the_settings_can_be_set(file):
    path = file(
        "[limits]\nload_s = 7\n[isolation]\nminimum = 'full'\n[runner]\nprocesses = 8\n"
        "[compile]\nslots = 9\nartifacts = '/a'\n[metrics]\nport = 9100\n"
    )
    settings = resolve(environment={}, config=path)
    assert settings.limits.load_s == 7.0
    assert (settings.isolation.minimum.value, settings.isolation.processes) == ("full", 8)
    assert (settings.compilers.slots, settings.compilers.cache) == (9, Path("/a"))
    assert settings.metrics.port == 9100


def test_all_that_is_wrong_is_told_in_the_order_of_its_lines(file):
    path = file(
        'cpu_slots = 0\nspol = "/x"\nqueue_limit = 5\n[limits]\nload_s = "10"\n[isolaton]\nuids = 1\n'
    )
    assert problems_of(path, KBD_LOG_DAYS="x") == [
        "line 1: cpu_slots must be a whole number from 1 up, found 0",
        "line 2: there is no setting 'spol'. Did you mean spool?",
        "line 3: there is no setting 'queue_limit'. Did you mean limits.queue_limit?",
        'line 5: limits.load_s must be a number of seconds above 0, found "10"',
        "line 7: there is no setting 'isolaton.uids'. Did you mean isolation.uids?",
        "KBD_LOG_DAYS must be a whole number from 0 up, found 'x'",
    ]


def test_a_name_that_two_tables_have(file):
    assert problems_of(file("memory_bytes = 5\n"))[0].endswith(
        "Did you mean runner.memory_bytes or compile.memory_bytes?"
    )


def test_a_name_like_no_other(file):
    assert problems_of(file("xyzzy = 5\n")) == [
        "line 1: there is no setting 'xyzzy'. See them all: kbd config show"
    ]


def test_a_table_that_is_none(file):
    assert problems_of(file("limits = 5\n")) == ["line 1: limits must be a table ([limits]), found 5"]


def test_an_empty_table_is_fine(file):
    assert resolve(environment={}, config=file("[limits]\n")) == resolve(environment={})


def test_what_no_setting_has_in_the_environment_is_doubted(file):
    settings = resolve(environment={"KBD_QUEU_LIMIT": "3", "KBD_CONFIG": str(file(""))})
    assert settings.origin.doubts == (
        "the environment variable KBD_QUEU_LIMIT is no setting and has no effect. Did you mean KBD_QUEUE_LIMIT?",
    )


@given(st.text() | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False))
def test_values_are_written_as_toml_reads_them(value):
    assert tomllib.loads(f"a = {as_toml(value)}")["a"] == value
