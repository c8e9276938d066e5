"""A heartbeat that something else has written."""

import pytest

from kbd.daemon.operation import heartbeat

BEAT = '{"pid": %s, "boot": "b", "beat_s": %s, "ready": true, "status": "s"}'


@pytest.mark.parametrize(
    "text", ["", "[]", "[" * 100_000, BEAT % ("Infinity", "1"), BEAT % ("1", "9" * 400), BEAT % ("null", "1")]
)
def test_it_is_none(tmp_path, text):
    (tmp_path / heartbeat.NAME).write_text(text)
    assert heartbeat.read(tmp_path) is None
