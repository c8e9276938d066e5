import json

import pytest

from kbd.daemon.configuration import file as config_file


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(config_file, "SYSTEM_FILE", tmp_path / "etc" / "config.toml")
    path = tmp_path / "config" / "kbd" / "config.toml"
    path.parent.mkdir(parents=True)
    return path


def test_what_holds_and_who_said_so(kbd, file):
    file.write_text("[limits]\nload_s = 5\n")
    lines = {line.split()[0]: line for line in kbd("config", "show").out.splitlines()}
    assert lines["limits.load_s"].split()[1:] == ["5", f"{file},", "line", "2"]
    assert lines["spool"].endswith("environment KBD_SPOOL")


def test_flags_are_a_source_too(kbd, file, tmp_path):
    shown = json.loads(kbd("config", "show", "--json", "--state", tmp_path / "x").out)
    assert shown["settings"]["state"]["source"] == "flag --state"
    assert shown["file"] is None


def test_the_path_of_the_file(kbd, file):
    missing = kbd("config", "path")
    assert (missing.code, missing.out.strip()) == (0, str(file))
    assert "none is there" in missing.err
    file.touch()
    found = kbd("config", "path")
    assert (found.out.strip(), found.err) == (str(file), "")


def test_a_good_file(kbd, file, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text("cpu_slots = 2\n")
    assert kbd("config", "check", other).out == f"{other}: fine, 1 setting from it in force\n"


def test_a_bad_file_ends_with_2_and_every_problem(kbd, file):
    file.write_text("cpu_slot = 2\n[limits]\nload_s = -1\n")
    ended = kbd("config", "check")
    assert ended.code == 2
    assert "line 1: there is no setting 'cpu_slot'. Did you mean cpu_slots?" in ended.err
    assert "line 3: limits.load_s must be" in ended.err


def test_other_commands_mind_only_what_they_need(kbd, file):
    file.write_text("[limits]\nload_s = -1\n")
    assert kbd("status").code == 0
    file.write_text("state = 5\n")
    ended = kbd("status")
    assert (ended.code, "state must be an absolute path" in ended.err) == (2, True)


def test_the_places_come_from_the_file(kbd, file, place, monkeypatch):
    monkeypatch.delenv("KBD_SPOOL")
    monkeypatch.delenv("KBD_STATE")
    file.write_text(f'spool = "{place.spool_root}"\nstate = "{place.state}"\n')
    assert json.loads(kbd("status", "--json").out)["spool"] == str(place.spool_root)


def test_variables_that_mean_nothing_are_told(kbd, file, monkeypatch):
    monkeypatch.setenv("KBD_LOADS", "1")
    ended = kbd("config", "check")
    assert (ended.code, "KBD_LOADS is no setting" in ended.err) == (0, True)
