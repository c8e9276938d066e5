import errno
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kbd.inbox.claim import Deferred, Quarantined, Refusal, Refused
from kbd.inbox.errors import Problem
from kbd.inbox.quarantine import Quarantine
from kbd.inbox.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


@pytest.fixture
def quarantine(spool: Spool) -> Quarantine:
    return Quarantine(spool, now=lambda: datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC))


def refused(spool: Spool, name: str, owner: str | None = None, problems: tuple[Problem, ...] = ()) -> Refused:
    path = spool.claimed / str(len(list(spool.claimed.iterdir()))) / name
    path.parent.mkdir()
    path.write_text("subject")
    return Refused(path, owner, "a", Refusal.INVALID_JOB, problems, "the message")


def reason_of(subject: Path) -> dict[str, Any]:
    reason = json.loads(subject.with_name(f"{subject.name}.reason.json").read_text())
    assert isinstance(reason, dict)
    return reason


def test_a_subject_lies_beside_its_reason(spool: Spool, quarantine: Quarantine) -> None:
    problem = Problem("/io", "is odd", expected="even", found="odd \udcff", hint="fix it", line=3)
    refusal = refused(spool, "a.yaml", owner="bob", problems=(problem,))
    (answer,) = quarantine.put_all([refusal])
    place = spool.quarantine / "a.yaml"
    assert answer == Quarantined(place, "bob", "a", Refusal.INVALID_JOB, (problem,), "the message")
    assert place.read_text() == "subject"
    assert reason_of(place) == {
        "schema_version": 1,
        "name": "a.yaml",
        "owner": "bob",
        "job_id": "a",
        "code": "invalid_job",
        "message": "the message",
        "problems": [
            {
                "pointer": "/io",
                "message": "is odd",
                "expected": "even",
                "found": "odd \udcff",
                "hint": "fix it",
                "line": 3,
            }
        ],
        "quarantined_at": "2026-02-03T04:05:06+00:00",
    }


def test_same_names_lie_side_by_side(spool: Spool, quarantine: Quarantine) -> None:
    owners = (None, "bob", "eve")
    answers = quarantine.put_all([refused(spool, "a.yaml", owner) for owner in owners])
    answers += quarantine.put_all([refused(spool, "a.yaml", "zoe")])
    places = [answer.path for answer in answers]
    assert len(set(places)) == 4
    assert [reason_of(place)["owner"] for place in places] == [*owners, "zoe"]
    assert len(list(spool.quarantine.iterdir())) == 8


def test_a_subject_cannot_pass_for_a_reason(spool: Spool, quarantine: Quarantine) -> None:
    odd, plain = quarantine.put_all([refused(spool, name) for name in ("a.yaml.reason.json", "a.yaml")])
    assert odd.path.read_text() == plain.path.read_text() == "subject"
    assert reason_of(plain.path)["name"] == "a.yaml"
    assert reason_of(odd.path)["name"] == "a.yaml.reason.json"


def test_the_reason_of_an_earlier_try_is_replaced(spool: Spool, quarantine: Quarantine) -> None:
    (spool.quarantine / "a.yaml.reason.json").write_text("written before a crash")
    (answer,) = quarantine.put_all([refused(spool, "a.yaml")])
    assert answer.path == spool.quarantine / "a.yaml"
    assert reason_of(answer.path)["message"] == "the message"


def test_a_subject_that_was_deleted_meanwhile(spool: Spool, quarantine: Quarantine) -> None:
    refusal = refused(spool, "a.yaml")
    refusal.path.unlink()
    (answer,) = quarantine.put_all([refusal])
    assert isinstance(answer, Quarantined)
    assert [path.name for path in spool.quarantine.iterdir()] == ["a.yaml.reason.json"]


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_without_reasons_nothing_is_moved(
    spool: Spool, quarantine: Quarantine, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    refusals = [refused(spool, name) for name in ("a.yaml", "b.yaml")]
    monkeypatch.setattr(os, call, fail)
    answers = quarantine.put_all(refusals)
    assert [answer.path for answer in answers] == [refusal.path for refusal in refusals]
    assert all(isinstance(answer, Deferred) and answer.was_claimed for answer in answers)
    assert all(refusal.path.exists() for refusal in refusals)
    assert not [path for path in spool.quarantine.iterdir() if path.suffix == ".tmp"]


def test_one_that_cannot_be_moved_keeps_no_other_back(
    spool: Spool, quarantine: Quarantine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def rename_unless_a(source: Path, target: Path) -> None:
        if source.name == "a.yaml":
            raise PermissionError(errno.EACCES, "Permission denied")
        rename(source, target)

    monkeypatch.setattr(os, "rename", rename_unless_a)
    answers = quarantine.put_all([refused(spool, name) for name in ("a.yaml", "b.yaml")])
    assert [type(answer) for answer in answers] == [Deferred, Quarantined]
