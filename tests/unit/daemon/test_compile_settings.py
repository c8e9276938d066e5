"""Settings of the compile stage come from the environment."""

from pathlib import Path

import pytest

from kbd.daemon.config import ConfigError, resolve


def settings(tmp_path, **environment):
    return resolve(tmp_path / "spool", tmp_path / "state", environment=environment).compilers


def test_defaults(tmp_path):
    found = settings(tmp_path)
    assert found.cache == tmp_path / "state" / "artifacts"
    assert found.slots >= 1
    assert found.memory_bytes is None


def test_everything_can_be_set(tmp_path):
    found = settings(
        tmp_path,
        KBD_ARTIFACTS=str(tmp_path / "shared"),
        KBD_ARTIFACTS_BYTES="1000",
        KBD_COMPILE_SLOTS="3",
        KBD_COMPILE_S="60",
        KBD_COMPILE_MEMORY_BYTES="2000",
    )
    assert found.cache == Path(tmp_path / "shared")
    assert (found.cache_bytes, found.slots, found.limit_s, found.memory_bytes) == (1000, 3, 60, 2000)


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5"])
def test_what_makes_no_sense(tmp_path, text):
    with pytest.raises(ConfigError, match="KBD_COMPILE_SLOTS must be a whole number"):
        settings(tmp_path, KBD_COMPILE_SLOTS=text)


def test_runners_never_see_the_artifacts(tmp_path):
    found = resolve(tmp_path / "a", tmp_path / "b", environment={"KBD_ARTIFACTS": str(tmp_path / "c")})
    assert str(tmp_path / "c") in found.sandboxing.hidden
