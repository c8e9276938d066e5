import json
import os
from datetime import UTC, datetime

import pytest

from kbd.inbox.claim import Refusal, Refused
from kbd.inbox.delivery import UndeliverableJob
from kbd.inbox.errors import InvalidJob, Problem
from kbd.inbox.quarantine import Quarantine
from kbd.inbox.quarantine_contents import NotInQuarantine, NotReleased, QuarantineContents
from kbd.inbox.result_files import published_path
from kbd.inbox.spool import Spool

GOOD = "candidate: {kernel_type: torch, source_code: 'def f(): ...'}\n"
BAD = "candidate: {kernel_type: torch}\n"


@pytest.fixture
def spool(tmp_path):
    return Spool.create(tmp_path / "spool")


@pytest.fixture
def contents(spool):
    return QuarantineContents(spool)


@pytest.fixture
def put(spool, tmp_path):
    """Have something quarantined as the daemon does, and give its name there."""

    def quarantine(name, make=BAD, code=Refusal.INVALID_JOB, owner=None, minute=0):
        subject = tmp_path / "claimed" / name
        subject.parent.mkdir(exist_ok=True)
        subject.write_text(make) if isinstance(make, str) else make(subject)
        problems = (Problem("/candidate", "it is wrong", hint="mend it", line=1),)
        now = datetime(2026, 1, 2, 3, minute, tzinfo=UTC)
        (moved,) = Quarantine(spool, lambda: now).put_all(
            [Refused(subject, owner, subject.stem, code, problems, "it is wrong")]
        )
        return moved.path.name

    return quarantine


def lying(folder):
    return sorted(path.name for path in folder.iterdir())


def test_everything_the_oldest_first(put, contents):
    put("b.yaml", minute=1)
    put("a.yaml", minute=2, owner="team")
    put("c.yaml", minute=0)
    found = contents.all()
    assert [each.name for each in found] == ["c.yaml", "b.yaml", "a.yaml"]
    (last,) = found[2:]
    assert (last.kind, last.nbytes, last.owner, last.job_id) == ("file", len(BAD), "team", "a")
    assert (last.code, last.message, last.since) == (
        "invalid_job",
        "it is wrong",
        "2026-01-02T03:02:00+00:00",
    )
    assert last.problems == (Problem("/candidate", "it is wrong", hint="mend it", line=1),)


def test_reasons_that_are_gone_or_nonsense(spool, contents):
    for name, text in {"a": "{", "b": "[]", "c": '{"code": 7, "problems": [3, {}], "name": null}'}.items():
        (spool.quarantine / f"{name}.yaml").write_text("x")
        (spool.quarantine / f"{name}.yaml.reason.json").write_text(text)
    (spool.quarantine / "d.yaml").write_text("x")
    os.mkfifo(spool.quarantine / "e.yaml.reason.json")
    found = contents.all()
    assert [(each.name, each.code, each.problems) for each in found] == [
        (f"{letter}.yaml", "unknown", ()) for letter in "abcde"
    ]
    assert found[-1].kind == "missing"


def test_a_mended_file_goes_back(put, contents, spool):
    name = put("a.yaml", owner="team")
    contents.path(contents.get(name)).write_text(GOOD)
    assert contents.release(name) == "a"
    assert (spool.inbox / "team" / "a.yaml").read_text() == GOOD
    assert lying(spool.quarantine) == []


def test_one_that_is_wrong_still_stays(put, contents, spool):
    name = put("a.yaml")
    with pytest.raises(InvalidJob):
        contents.release(name)
    with pytest.raises(InvalidJob):
        contents.release(name, "b")
    assert lying(spool.quarantine) == ["a.yaml", "a.yaml.reason.json"]
    assert lying(spool.inbox) == []


def test_an_id_that_has_a_result_needs_another(put, contents, spool):
    name = put("a.yaml", GOOD, Refusal.ID_CONFLICT)
    published_path(spool, "a").write_text("{}")
    with pytest.raises(NotReleased, match="--id a-2"):
        contents.release(name)
    assert contents.release(name, "a-2") == "a-2"
    assert lying(spool.inbox) == ["a-2.yaml"]


def test_nothing_in_the_inbox_is_overwritten(put, contents, spool):
    name = put("a.yaml", GOOD)
    (spool.inbox / "a.yaml").write_text("first")
    with pytest.raises(UndeliverableJob, match="waiting in the inbox"):
        contents.release(name)
    assert (spool.inbox / "a.yaml").read_text() == "first"
    assert lying(spool.quarantine) == ["a.yaml", "a.yaml.reason.json"]


def test_the_second_of_a_name(put, contents, spool):
    put("a.yaml")
    second = put("a.yaml", GOOD)
    assert second != "a.yaml"
    assert contents.get(second).original == "a.yaml"
    assert contents.release(second) == "a"
    assert lying(spool.inbox) == ["a.yaml"]
    assert lying(spool.quarantine) == ["a.yaml", "a.yaml.reason.json"]


def test_a_name_that_no_job_can_have(put, contents, spool):
    name = put("ä b.yaml", GOOD, Refusal.BAD_NAME)
    with pytest.raises(NotReleased, match="--id"):
        contents.release(name)
    with pytest.raises(NotReleased, match="no id"):
        contents.release(name, "../a")
    assert contents.release(name, "ab") == "ab"
    assert lying(spool.inbox) == ["ab.yaml"]


def test_a_folder(put, contents, spool):
    def pair(folder):
        folder.mkdir()
        (folder / "job.yaml").write_text(f"id: declared\n{GOOD}")

    assert contents.release(put("a.job", pair)) == "declared"
    assert contents.release(put("b.job", pair), "other") == "other"
    assert lying(spool.inbox) == ["a.job", "other.job"]
    assert json.loads((spool.inbox / "other.job" / "job.json").read_text())["id"] == "other"


def test_links_are_never_followed(put, contents, spool, tmp_path):
    secret = tmp_path / "secret.yaml"
    secret.write_text(GOOD)
    name = put("a.yaml", lambda path: path.symlink_to(secret), Refusal.UNSAFE_FILE)
    with pytest.raises(NotReleased, match="symlink"):
        contents.release(name)
    with pytest.raises(NotReleased, match="symlink"):
        contents.release(name, "b")
    contents.discard(contents.get(name))
    assert secret.read_text() == GOOD
    assert lying(spool.inbox) == lying(spool.quarantine) == []


def test_what_can_never_be_a_job(put, contents, spool):
    with pytest.raises(NotReleased, match="request to the daemon"):
        contents.release(put("stop.json", "{}", Refusal.INVALID_REQUEST))
    with pytest.raises(NotReleased, match="ends in"):
        contents.release(put("notes.txt", "hello", Refusal.NOT_A_JOB), "a")
    name = put("a.yaml")
    (spool.quarantine / name).unlink()
    with pytest.raises(NotReleased, match="gone"):
        contents.release(name)


@pytest.mark.parametrize("name", ["", "../inbox", ".hidden", "nothing", "a.yaml.reason.json"])
def test_names_that_are_not_there(put, contents, name):
    put("a.yaml")
    with pytest.raises(NotInQuarantine):
        contents.get(name)


def test_throwing_away(put, contents, spool):
    put("a.yaml")
    contents.discard(contents.get("a.yaml"))
    assert lying(spool.quarantine) == []


def test_what_wanted_to_be_one_of_some_jobs(put, contents):
    first, second = put("a.yaml"), put("a.yaml", code=Refusal.ID_CONFLICT)
    declared = put("b.yaml", GOOD + "id: a\n")
    put("c.yaml", GOOD)
    found = list(contents.meant_for(frozenset({"a", "d"})))
    assert {(job_id, each.name) for job_id, each in found} == {("a", first), ("a", second), ("a", declared)}
    assert {each.name for _, each in found if each.is_conflict} == {second}
    contents.path(contents.get(first)).unlink()
    assert first not in {each.name for _, each in contents.meant_for(frozenset({"a"}))}


def test_among_very_many_only_names_tell(put, contents, monkeypatch):
    monkeypatch.setattr("kbd.inbox.quarantine_contents.LOOKED_INTO", 2)
    first, second = put("a.yaml"), put("a.yaml")
    put("b.yaml", GOOD + "id: a\n")
    assert {each.name for _, each in contents.meant_for(frozenset({"a"}))} == {first, second}
