import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.inbox.control import (
    Answer,
    AnswerCode,
    ControlRequest,
    Verb,
    answer_path,
    ask,
    read_request,
    request_path,
    requester,
    take_answer,
    token_of,
    withdraw,
)
from kbd.inbox.errors import InboxError, InvalidJob, UnsafeFile
from kbd.inbox.spool import Spool, SpoolMissing
from kbd.inbox.validation import validate

ABOUT_JOBS = (Verb.CANCEL, Verb.RETRY, Verb.RERUN)


@pytest.fixture
def spool(tmp_path):
    return Spool.create(tmp_path / "spool")


def request(verb=Verb.CANCEL, job_id="a", **changes):
    return ControlRequest(verb=verb, job_id=job_id if verb in ABOUT_JOBS else None, **changes)


@given(st.sampled_from(Verb), st.text(max_size=64), st.text(max_size=64))
def test_a_request_survives_its_file(verb, by, reason):
    asked = request(verb, by=by, reason=reason)
    assert validate(ControlRequest, json.loads(asked.model_dump_json(exclude_none=True))) == asked


def test_a_request_lies_there_whole_and_nothing_else_does(spool):
    token = ask(spool, request(reason="why"))
    assert [path.name for path in spool.control.iterdir() if path.is_file()] == [f"{token}.json"]
    assert read_request(request_path(spool, token)) == request(reason="why")


def test_every_request_has_a_token_of_its_own(spool):
    assert ask(spool, request()) != ask(spool, request())


def test_asking_needs_a_spool(tmp_path):
    with pytest.raises(SpoolMissing):
        ask(Spool(tmp_path), request())


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"verb": "explode"}, "/verb"),
        ({"verb": "cancel"}, "/job_id"),
        ({"verb": "pause", "job_id": "a"}, "/job_id"),
        ({"verb": "cancel", "job_id": "../a"}, "/job_id"),
        ({"verb": "rerun"}, "/job_id"),
        ({"verb": "rerun", "job_id": "a", "seed": -1}, "/seed"),
        ({"verb": "retry", "job_id": "a", "seed": 1}, "/seed"),
        ({"verb": "wake", "force": True}, "/force"),
        ({"verb": "wake", "version": 2}, "/version"),
        ({"verb": "wake", "reason": "x" * 1025}, "/reason"),
        ({}, "/verb"),
        ([], ""),
    ],
)
def test_what_is_no_request_says_where(spool, document, pointer):
    path = spool.control / "x.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InvalidJob) as raised:
        read_request(path)
    assert pointer in {problem.pointer for problem in raised.value.problems}


def test_a_huge_file_is_not_read(spool):
    path = spool.control / "x.json"
    path.write_text(" " * (17 << 10))
    with pytest.raises(UnsafeFile):
        read_request(path)


@pytest.mark.parametrize("name", ["x", "x.yaml", ".json", "-x.json", "a b.json", "\udcff.json"])
def test_names_that_no_request_has(spool, name):
    assert token_of(name) is None
    with pytest.raises(InboxError, match=r"NAME\.json"):
        read_request(spool.control / name)


def test_an_answer_is_taken_once(spool):
    assert take_answer(spool, "t") is None
    answer = Answer(code=AnswerCode.DONE, message="done", job_id="a.r1")
    answer_path(spool, "t").write_text(answer.model_dump_json(exclude_none=True))
    assert take_answer(spool, "t") == answer
    assert take_answer(spool, "t") is None


def test_an_answer_without_a_folder_is_none(spool):
    spool.answers.rmdir()
    assert take_answer(spool, "t") is None


def test_withdrawing(spool):
    token = ask(spool, request())
    assert withdraw(spool, token)
    assert not withdraw(spool, token)


def test_who_asks_is_named():
    assert "@" in requester()


def test_a_uid_without_a_name_can_ask(monkeypatch):
    def nobody():
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert requester().startswith("somebody@")
