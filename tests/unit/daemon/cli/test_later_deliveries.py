"""An id that has a result, delivered once more: whoever asks for it is told that the other job is not judged."""

import pytest

from kbd.daemon.cli.exit_codes import ExitCode
from kbd.inbox.claim import Refusal, Refused
from kbd.inbox.job_file import read_job
from kbd.inbox.quarantine import Quarantine
from kbd.outbox.verdict import EvaluationStatus

JOB = "candidate: {kernel_type: torch, source_code: 'def f(): ...'}\n"
EDITED = JOB.replace("...", "1")
COMMANDS = ["wait", "show", "status"]


@pytest.fixture
def refuse(spool, tmp_path):
    def quarantine(name, text=EDITED, code=Refusal.ID_CONFLICT):
        subject = tmp_path / name
        subject.write_text(text)
        Quarantine(spool).put_all([Refused(subject, None, None, code, (), "it has a result")])

    return quarantine


@pytest.fixture
def relu(has_published, make_result, job_file):
    """A job that has its result, and the file it is about."""
    path = job_file("relu.yaml", JOB)
    has_published(make_result("relu", manifest_sha256=read_job(path).sha256))
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_it_lies_in_quarantine(kbd, relu, refuse, command):
    refuse("relu.yaml")
    ended = kbd(command, "relu")
    assert ended.code == ExitCode.OK
    assert "relu: a later delivery of this id with other content lies in quarantine" in ended.err
    assert "kbd quarantine release relu.yaml --id NEW" in ended.err
    assert "later" not in ended.out


@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_in_the_inbox_still(kbd, relu, spool, command):
    (spool.inbox / "relu.yaml").write_text(EDITED)
    ended = kbd(command, "relu")
    assert ended.code == ExitCode.OK
    assert "relu: a later delivery of this id with other content is in the inbox" in ended.err


@pytest.mark.parametrize("command", COMMANDS)
def test_the_same_file_again_is_worth_no_word(kbd, relu, spool, refuse, command):
    (spool.inbox / "relu.yaml").write_text(JOB)
    refuse("other.yaml")
    assert "later" not in kbd(command, "relu").err


def test_what_could_not_be_a_job_was_delivered_later_too(kbd, relu, refuse):
    refuse("relu.yaml", "candidate: 1\n", Refusal.INVALID_JOB)
    assert "lies in quarantine" in kbd("wait", "relu").err


def test_an_invalid_job_has_its_own_delivery_in_quarantine(kbd, has_published, make_failure, refuse):
    has_published(make_failure(EvaluationStatus.INVALID_JOB, "bad", manifest_sha256=None))
    refuse("bad.yaml", "candidate: 1\n", Refusal.INVALID_JOB)
    assert "later" not in kbd("wait", "bad").err


def test_its_mended_file_is_a_later_one(kbd, has_published, make_failure, refuse):
    has_published(make_failure(EvaluationStatus.INVALID_JOB, "bad", manifest_sha256=None))
    refuse("bad.yaml", EDITED)
    assert "bad: a later delivery" in kbd("wait", "bad").err
