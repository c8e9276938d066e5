from pathlib import Path

import pytest

from kbd.inbox.settling import Look, Settling
from kbd.inbox.sighting import Sighting, Signature, Stage

RULE = Settling(settle_s=2, truncated_s=60, manifest_bytes=100)


def look_at(now: float, examinable_bytes: int = 10_000) -> Look:
    return Look(1, now, frozenset(), examinable_bytes)


def decide(path: Path, look: Look, stage: Stage = Stage.SETTLING) -> Stage:
    """What becomes of a file first seen at 0."""
    status = path.lstat()
    sighting = Sighting(1, 1, Signature.at(str(path), status), 0.0, stage)
    RULE.decide(sighting, str(path), status, look)
    return sighting.stage


@pytest.mark.parametrize(
    ("content", "stage", "now", "expected", "next_at"),
    [
        ("{}", Stage.SETTLING, 1.9, Stage.SETTLING, 2.0),
        ("{}", Stage.SETTLING, 2.0, Stage.READY, float("inf")),
        ("{", Stage.SETTLING, 2.0, Stage.TRUNCATED, 60.0),
        ("{", Stage.TRUNCATED, 59.0, Stage.TRUNCATED, 60.0),
        ("{", Stage.TRUNCATED, 60.0, Stage.READY_INCOMPLETE, float("inf")),
        ("{" * 101, Stage.SETTLING, 0.0, Stage.READY, float("inf")),
    ],
)
def test_stages(
    tmp_path: Path, content: str, stage: Stage, now: float, expected: Stage, next_at: float
) -> None:
    (tmp_path / "a.json").write_text(content)
    look = look_at(now)
    assert decide(tmp_path / "a.json", look, stage) is expected
    assert look.next_at == next_at


def test_reading_is_rationed(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    look = look_at(5, examinable_bytes=1)
    assert decide(tmp_path / "a.json", look) is Stage.READY
    assert decide(tmp_path / "a.json", look) is Stage.SETTLING
    assert look.next_at == 5


def test_what_is_no_manifest_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "kernel.cu").write_text("{")
    (tmp_path / "link.json").symlink_to("kernel.cu")
    look = look_at(2)
    assert decide(tmp_path / "kernel.cu", look) is Stage.READY
    assert decide(tmp_path / "link.json", look_at(0)) is Stage.READY
