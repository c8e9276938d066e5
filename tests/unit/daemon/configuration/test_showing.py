"""Settings as they are shown, and the file to begin with."""

import json
import re
from pathlib import Path

from kbd.daemon.config import resolve
from kbd.daemon.configuration.showing import document, shown, template
from kbd.daemon.configuration.table import SETTINGS


def test_every_setting_is_shown_with_its_source():
    rows = {each.setting.key: each for each in shown(resolve(environment={"KBD_LOAD_S": "7"}))}
    assert list(rows) == [setting.key for setting in SETTINGS]
    assert (rows["limits.load_s"].text, rows["limits.load_s"].source) == ("7", "environment KBD_LOAD_S")
    assert (rows["runner.memory_bytes"].text, rows["runner.memory_bytes"].source) == (
        "(half of the host's)",
        "default",
    )


def test_programs_get_plain_values():
    found = json.loads(json.dumps(document(resolve(Path("/spool"), environment={}))))
    assert found["file"] is None
    assert found["settings"]["spool"] == {
        "value": "/spool",
        "source": "flag --spool",
        "variable": "KBD_SPOOL",
        "live": False,
    }


def test_the_template_sets_what_was_named_and_nothing_else(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(template(Path('/srv/a "spool"')))
    settings = resolve(environment={}, config=path)
    assert settings == resolve(Path('/srv/a "spool"'), environment={})
    assert set(settings.origin.given) == {"spool"}


def test_the_template_explains_every_setting(tmp_path):
    path = tmp_path / "config.toml"
    text = template()
    for setting in SETTINGS:
        assert setting.variable in text
    # Every default that is written in it can be switched on, and is the default.
    path.write_text(re.sub(r"^# (?=\w+ = \S)(?!\w+ = +#)", "", text, flags=re.MULTILINE))
    enabled = resolve(environment={}, config=path)
    places = ("spool", "state")
    assert len(enabled.origin.given) > len(SETTINGS) - 10
    for before, after in zip(shown(resolve(environment={})), shown(enabled), strict=True):
        if before.setting.key not in (*places, "compile.artifacts"):
            assert before.value == after.value
