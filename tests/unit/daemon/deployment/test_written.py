import pytest

from kbd.daemon.deployment.written import write_new


def test_a_file_is_written_once(tmp_path):
    path = tmp_path / "new" / "file"
    assert write_new(path, "first", force=False)
    assert not write_new(path, "second", force=False)
    assert path.read_text() == "first"
    assert write_new(path, "third", force=True)
    assert path.read_text() == "third"
    assert list(path.parent.iterdir()) == [path]


def test_nothing_is_left_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the system
        write_new(tmp_path / "file", "text", force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
