"""The file of settings: found, read, and every key with its line."""

import pytest

from kbd.daemon.configuration import file as config_file
from kbd.daemon.configuration.file import FileUnusable, find, lines_of, read

TEXT = """\
# a comment = 1
spool = "/srv/spool"

[limits]   # of jobs
load_s = 10
"log_days" = 3
[ runner ]
memory_bytes = 5
"""


def test_keys_of_tables_get_their_names_and_lines(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(TEXT)
    found = read(path)
    assert found.values == {
        "spool": "/srv/spool",
        "limits.load_s": 10,
        "limits.log_days": 3,
        "runner.memory_bytes": 5,
    }
    assert [found.line_of(key) for key in found.values] == [2, 5, 6, 8]
    assert found.place_of("limits.load_s") == f"{path}, line 5"


def test_dotted_keys_and_inline_tables_are_found_too():
    lines = lines_of('limits . load_s = 1\nrunner = {processes = 5}\nspool = "a"')
    assert (lines["limits.load_s"], lines["runner"], lines["spool"]) == (1, 2, 3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a = \nb = 1", "is no TOML: .*line 1"),
        (b"a = 1\na = 2\n", "is no TOML"),
        (b"a = '\xff'", "is not UTF-8"),
        (b"#" * (config_file.LIMIT_BYTES + 1), "more than 1048576 bytes"),
        (None, "is not there.*kbd init"),
    ],
)
def test_what_is_no_file_of_settings(tmp_path, content, words):
    path = tmp_path / "config.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileUnusable, match=words):
        read(path)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(FileUnusable, match="cannot be read: Is a directory"):
        read(tmp_path)


@pytest.fixture
def system(tmp_path, monkeypatch):
    path = tmp_path / "etc" / "config.toml"
    path.parent.mkdir()
    monkeypatch.setattr(config_file, "SYSTEM_FILE", path)
    return path


@pytest.mark.parametrize("variable", ["XDG_CONFIG_HOME", "HOME"])
def test_the_first_that_is_there_is_used(tmp_path, system, variable):
    environment = {variable: str(tmp_path)}
    own = tmp_path / ("kbd" if variable == "XDG_CONFIG_HOME" else ".config/kbd") / "config.toml"
    assert find(None, environment) is None
    system.touch()
    assert find(None, environment) == system
    own.parent.mkdir(parents=True)
    own.touch()
    assert find(None, environment) == own
    assert find(None, {}) == system, "a service without a home"


def test_a_named_file_wins_though_it_is_not_there(tmp_path, system):
    system.touch()
    named = tmp_path / "other.toml"
    assert find(None, {"KBD_CONFIG": str(named)}) == named
    assert find(tmp_path / "flag.toml", {"KBD_CONFIG": str(named)}) == tmp_path / "flag.toml"


def test_a_folder_that_nobody_may_look_into_is_named_with_the_way_out(tmp_path, monkeypatch):
    def refuse(path, **_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.is_file", refuse)
    with pytest.raises(
        FileUnusable, match=r"kbd/config\.toml cannot be looked for: Permission denied; .* --config"
    ):
        find(None, {"XDG_CONFIG_HOME": str(tmp_path)})
