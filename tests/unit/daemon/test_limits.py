import pytest

from kbd.daemon.config import ConfigError, Limits, resolve


def settings(tmp_path, **environment):
    return resolve(tmp_path, tmp_path, environment=environment)


def test_the_defaults(tmp_path):
    limits = settings(tmp_path).limits
    assert limits == Limits()
    assert (limits.queue_limit, limits.min_free_bytes) == (100_000, 256 << 20)


def test_the_environment_wins(tmp_path):
    found = settings(tmp_path, KBD_QUEUE_LIMIT="5", KBD_MIN_FREE_BYTES="0", KBD_CPU_SLOTS="2")
    assert (found.limits.queue_limit, found.limits.min_free_bytes, found.cpu_slots) == (5, 0, 2)


@pytest.mark.parametrize("name", ["KBD_QUEUE_LIMIT", "KBD_MIN_FREE_BYTES", "KBD_CPU_SLOTS"])
@pytest.mark.parametrize("value", ["", "-1", "1.5", "many", "²", "٣"])
def test_nonsense_is_named(tmp_path, name, value):
    with pytest.raises(ConfigError, match=name):
        settings(tmp_path, **{name: value})


@pytest.mark.parametrize("name", ["KBD_QUEUE_LIMIT", "KBD_CPU_SLOTS"])
def test_none_at_all_is_too_few(tmp_path, name):
    with pytest.raises(ConfigError, match="from 1 up"):
        settings(tmp_path, **{name: "0"})
