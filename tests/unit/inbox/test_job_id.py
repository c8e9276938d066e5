import os
from pathlib import Path

import pytest

from kbd.inbox.job_id import declared_id, intended_id


@pytest.mark.parametrize(
    ("data", "suffix", "expected"),
    [
        (b"id: a-1\nwhatever: true", ".yaml", "a-1"),
        (b'{"id": "a.b"}', ".json", "a.b"),
        (b"id: 7", ".yaml", None),
        (b"id: ../../etc/passwd", ".yaml", None),
        (b"id: ''", ".yaml", None),
        (b'{"id": "%s"}' % (b"x" * 129), ".json", None),
        (b"- id: a", ".yaml", None),
        (b"", ".yaml", None),
        (b'{"id": "a"', ".json", None),
        (b'{"id": "a", "id": "b"}', ".json", None),
        (b"\xff", ".yaml", None),
    ],
)
def test_declared_id(data: bytes, suffix: str, expected: str | None) -> None:
    assert declared_id(data, suffix) == expected


def test_the_document_decides_else_the_name(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("id: declared")
    assert intended_id(path, limit_bytes=100) == "declared"
    assert intended_id(path, limit_bytes=3) == "a"
    path.write_text("no: id")
    assert intended_id(path, limit_bytes=100) == "a"
    assert intended_id(tmp_path / "gone.json", limit_bytes=100) == "gone"
    assert intended_id(tmp_path / "b b.json", limit_bytes=100) is None


def test_of_a_file_under_a_temporary_name(tmp_path: Path) -> None:
    path = tmp_path / ".a.tmp"
    path.write_text('{"id": "declared"}')
    assert intended_id(path, limit_bytes=100, name="a.json") == "declared"


def test_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a.job"
    folder.mkdir()
    assert intended_id(folder, limit_bytes=100) == "a"
    (folder / "job.json").write_text('{"id": "declared"}')
    assert intended_id(folder, limit_bytes=100) == "declared"
    (folder / "job.json").unlink()
    os.mkfifo(folder / "job.json")
    assert intended_id(folder, limit_bytes=100) == "a"
