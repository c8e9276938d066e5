import os
from pathlib import Path

import pytest

from kbd.inbox import job_file as job_file_module
from kbd.inbox import safe_load as safe_load_module
from kbd.inbox import sighting as sighting_module
from kbd.inbox.settling import Look, Settling
from kbd.inbox.sighting import Sighting, Signature, Stage

RULE = Settling(settle_s=2, truncated_s=60, manifest_bytes=100)


def look_at(now: float, examinable_bytes: int = 10_000) -> Look:
    return Look(1, now, frozenset(), examinable_bytes)


def sighting_of(path: Path, stage: Stage = Stage.SETTLING) -> Sighting:
    """Of a file first seen at 0."""
    return Sighting(1, 1, Signature.at(str(path), path.lstat()), 0.0, stage)


def decide(path: Path, look: Look, sighting: Sighting) -> Stage:
    RULE.decide(sighting, str(path), path.lstat(), look)
    return sighting.stage


def opened(path: Path, look: Look, sighting: Sighting) -> Stage:
    RULE.open(sighting, str(path), path.lstat(), look)
    return sighting.stage


@pytest.mark.parametrize(
    ("content", "stage", "now", "expected", "next_at"),
    [
        ("{}", Stage.SETTLING, 1.9, Stage.SETTLING, 2.0),
        ("{}", Stage.SETTLING, 2.0, Stage.SETTLED, float("inf")),
        ("{", Stage.TRUNCATED, 4.0, Stage.TRUNCATED, 6.0),
        ("{", Stage.TRUNCATED, 59.0, Stage.TRUNCATED, 60.0),
        ("{", Stage.TRUNCATED, 60.0, Stage.READY_INCOMPLETE, float("inf")),
        ("{" * 101, Stage.SETTLING, 0.0, Stage.READY, float("inf")),
    ],
)
def test_stages(
    tmp_path: Path, content: str, stage: Stage, now: float, expected: Stage, next_at: float
) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    look = look_at(now)
    assert decide(path, look, sighting_of(path, stage)) is expected
    assert look.next_at == next_at


@pytest.mark.parametrize(
    ("content", "expected", "next_at"),
    [("{}", Stage.READY, float("inf")), ("{", Stage.TRUNCATED, 4.0), ("{]", Stage.READY, float("inf"))],
)
def test_what_opening_shows(tmp_path: Path, content: str, expected: Stage, next_at: float) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    look = look_at(2.0)
    assert opened(path, look, sighting_of(path, Stage.SETTLED)) is expected
    assert look.next_at == next_at


def test_reading_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("{}")
    look = look_at(5, examinable_bytes=5000)
    opened(path, look, sighting_of(path, Stage.SETTLED))
    assert look.examinable_bytes == 5000 - 4096


def test_what_is_no_manifest_is_not_read(tmp_path: Path) -> None:
    source, link = tmp_path / "kernel.cu", tmp_path / "link.json"
    source.write_text("{")
    link.symlink_to("kernel.cu")
    assert opened(source, look_at(2), sighting_of(source, Stage.SETTLED)) is Stage.READY
    assert decide(link, look_at(0), sighting_of(link)) is Stage.READY


@pytest.mark.fault("a permission is denied for a moment")
def test_what_cannot_be_read_is_opened_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that half a manifest is not taken for a whole one because nobody could look."""
    path = tmp_path / "a.json"
    path.write_text("{")
    lasting, passing = sighting_of(path, Stage.SETTLED), sighting_of(path, Stage.SETTLED)
    with monkeypatch.context() as patch:
        patch.setattr(sighting_module, "open_regular", denied)
        for sighting in (lasting, passing):
            look = look_at(30.0)
            assert opened(path, look, sighting) is Stage.SETTLING
            assert look.next_at == 32.0
            assert decide(path, look_at(31.9), sighting) is Stage.SETTLING
            assert decide(path, look_at(32.0), sighting) is Stage.SETTLED
        assert opened(path, look_at(32.0), lasting) is Stage.READY
    assert opened(path, look_at(32.0), passing) is Stage.TRUNCATED


def denied(path: object, *_: object) -> int:
    raise PermissionError(13, os.strerror(13), str(path))


@pytest.mark.parametrize("name", ["a.json", "a.job"])
def test_what_trips_kbd_is_left_to_intake(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def trip(*_: object, **__: object) -> None:
        raise RecursionError

    path = tmp_path / name
    document = path
    if name == "a.job":
        path.mkdir()
        document = path / "job.json"
    document.write_text("{}")
    monkeypatch.setattr(job_file_module, "parse_manifest", trip)
    monkeypatch.setattr(safe_load_module, "parse_json", trip)
    assert opened(path, look_at(2.0), sighting_of(path, Stage.SETTLED)) is Stage.READY
