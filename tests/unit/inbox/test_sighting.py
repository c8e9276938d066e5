import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kbd.inbox.sighting import Finding, Sighting, Signature, Stage, examine, examine_folder


def signature_of(folder: Path) -> Signature:
    return Signature.at(str(folder), folder.lstat())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "a.job"
    (folder / "deep" / "deeper").mkdir(parents=True)
    (folder / "deep" / "deeper" / "data").write_text("x")
    return folder


@pytest.mark.parametrize(
    "change",
    [
        lambda deep: (deep / "data").write_text("longer"),
        lambda deep: (deep / "new").touch(),
        lambda deep: (deep / "data").unlink(),
        lambda deep: os.utime(deep / "data", ns=(1, 1)),
    ],
)
def test_a_change_deep_in_a_folder_shows(folder: Path, change: Callable[[Path], object]) -> None:
    before = signature_of(folder)
    assert signature_of(folder) == before
    change(folder / "deep" / "deeper")
    assert signature_of(folder) != before


def test_folders_are_not_followed_out_of_the_inbox(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (folder / "link").symlink_to(tmp_path / "outside")
    before = signature_of(folder)
    (tmp_path / "outside" / "new").touch()
    assert signature_of(folder) == before


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        ('{"a": 1}', Finding.WHOLE),
        ('{"a": ', Finding.TRUNCATED),
        ("", Finding.TRUNCATED),
        ('{"a": 1}}', Finding.WHOLE),
        ('{"a": 1, "b": 22222}', Finding.WHOLE),  # over the limit: intake refuses it
    ],
)
def test_examine_a_file(tmp_path: Path, content: str, finding: Finding) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    assert examine(path, Signature.of(path.lstat()), limit_bytes=15) is finding


def test_examine_what_is_no_longer_so(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}')
    signature = Signature.of(path.lstat())
    path.write_text('{"a": 11}')
    assert examine(path, signature, limit_bytes=100) is Finding.CHANGED
    path.unlink()
    assert examine(path, signature, limit_bytes=100) is Finding.GONE
    os.mkfifo(path)
    assert examine(path, signature, limit_bytes=100) is Finding.WHOLE


def test_examine_a_folder(folder: Path) -> None:
    (folder / "job.json").write_text("{")
    assert examine_folder(folder, signature_of(folder), limit_bytes=100) is Finding.TRUNCATED
    (folder / "job.yaml").write_text("a: 1")
    signature = signature_of(folder)
    assert examine_folder(folder, signature, limit_bytes=100) is Finding.WHOLE
    (folder / "deep" / "deeper" / "data").write_text("longer")
    assert examine_folder(folder, signature, limit_bytes=100) is Finding.CHANGED
    shutil.rmtree(folder)
    assert examine_folder(folder, signature, limit_bytes=100) is Finding.CHANGED


NAMED = """
version: 1
candidate: {kernel_type: torch, source_file: kernel.py}
io: {args: [{name: x, type: tensor, tensor_spec: {shape: [4], dtype: float32, data: {file: deep/x.npy}}}]}
"""


@pytest.mark.fault("a file is still growing")
@pytest.mark.parametrize(
    "files",
    [
        {"job.yaml": NAMED, "kernel.py": "def f(x): return x", "deep/x.npy": ""},
        {"reference.py": "", "kernel.py": ""},
        {"job.yaml": "candidate: {kernel_type: torch, source_file: ../kernel.py}"},
    ],
)
def test_a_folder_is_whole_when_all_is_there_that_its_job_names(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        assert examine_folder(folder, signature_of(folder), limit_bytes=1000) is Finding.TRUNCATED, name
        (folder / name).write_text(text)
    assert examine_folder(folder, signature_of(folder), limit_bytes=1000) is Finding.WHOLE


def test_what_cannot_be_read_is_not_taken_for_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "job.json"
    path.write_text("{}")
    signature, of_folder = Signature.of(path.lstat()), signature_of(folder)
    for call in ("open", "lstat"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, unless_below(folder, getattr(os, call)))
            if call == "open":
                assert examine(path, signature, limit_bytes=100) is Finding.UNREADABLE
            assert examine_folder(folder, of_folder, limit_bytes=100) is Finding.UNREADABLE


def unless_below(folder: Path, call: Callable[..., object]) -> Callable[..., object]:
    def denied(path: object, *arguments: object, **options: object) -> object:
        if isinstance(path, Path) and path.parent == folder:
            raise PermissionError(13, os.strerror(13), str(path))
        return call(path, *arguments, **options)

    return denied


def test_a_sighting_starts_anew_with_each_change() -> None:
    sighting = Sighting(first_look=1, last_look=1, signature=Signature(1, 1, 1), unchanged_since=0.0)
    sighting.stage = Stage.READY
    sighting.note(Signature(1, 1, 1), look=2, now=5.0)
    assert sighting.is_ready
    sighting.note(Signature(2, 1, 1), look=3, now=6.0)
    assert (sighting.stage, sighting.unchanged_since, sighting.first_look) == (Stage.SETTLING, 6.0, 1)
    sighting.note(Signature(2, 1, 2), look=4, now=7.0)
    assert sighting.first_look == 4
