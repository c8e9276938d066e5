"""The parts of the mount layer that need no mounts; the rest is in tests/integration/test_isolation.py."""

import pytest

from kbd.daemon.executor.sandbox import mounts


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ("/plain", "/plain"),
        ("/a\\040b", "/a b"),
        ("/tab\\011", "/tab\t"),
        ("/back\\134slash", "/back\\slash"),
    ],
)
def test_names_in_the_table_of_mounts(point, expected):
    assert mounts._unescaped(point) == expected


def test_mounts_within_a_folder(tmp_path, monkeypatch):
    (tmp_path / "proc" / "self").mkdir(parents=True)
    table = "".join(
        f"{number} 1 0:1 / {point} rw - tmpfs tmpfs rw\n"
        for number, point in enumerate(("/a/b", "/a", "/ab", "/c"))
    )
    (tmp_path / "proc" / "self" / "mountinfo").write_text(table)
    monkeypatch.setattr(mounts, "HOST", str(tmp_path))
    assert list(mounts._mounts_within("/a")) == ["/a", "/a/b"]


def test_what_in_proc_belongs_to_no_process(tmp_path):
    for folder in ("1", "42", "sys", "driver"):
        (tmp_path / folder).mkdir()
    (tmp_path / "self").symlink_to("42")
    (tmp_path / "meminfo").touch(mode=0o444)
    (tmp_path / "sysrq-trigger").touch(mode=0o200)
    found = [path.rpartition("/")[2] for path in mounts._system_wide(str(tmp_path))]
    assert found == ["driver", "sys", "sysrq-trigger"]
