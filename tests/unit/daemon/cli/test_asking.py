"""`kbd cancel`, `retry`, `pause`, `resume`, `drain`: what is asked, what is said, what it ends with."""

import json
import threading
import time

import pytest

from kbd.daemon.cli.asking import Asking, report
from kbd.daemon.cli.errors import CommandFailed
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.inbox.control import Answer, AnswerCode, ControlRequest, Verb
from kbd.inbox.control_reader import ControlReader
from kbd.inbox.rhythm import Rhythm

WAKE = ControlRequest(verb=Verb.WAKE)


@pytest.fixture
def daemon(spool, daemon_runs):
    """A daemon that answers by the job's id; what it was asked is kept."""
    reader, asked, over = ControlReader(spool), [], threading.Event()
    codes = {"unknown": "not_found", "over": "finished", "bad": "refused", "later": "unavailable"}

    def obey():
        while not over.wait(0.005):
            for requested in reader.look():
                request = requested.request
                asked.append(request)
                code = AnswerCode(codes.get(request.job_id or "", "done"))
                new_id = (
                    f"{request.job_id}.r1" if request.verb in (Verb.RETRY, Verb.RERUN) else request.job_id
                )
                answer = Answer(code=code, message=f"{request.verb}: {code}", job_id=new_id)
                reader.answer(requested.token, answer)

    with daemon_runs():
        thread = threading.Thread(target=obey)
        thread.start()
        yield asked
        over.set()
        thread.join()


@pytest.mark.parametrize(
    ("arguments", "request_", "said"),
    [
        (["cancel", "a", "--reason", "slow"], ("cancel", "a", "slow"), "cancel: done"),
        (["retry", "a"], ("retry", "a", None), "a.r1"),
        (["rerun", "a"], ("rerun", "a", None), "a.r1"),
        (["pause", "--reason", "new driver"], ("pause", None, "new driver"), "pause: done"),
        (["resume"], ("resume", None, None), "resume: done"),
        (["drain"], ("drain", None, None), "drain: done"),
    ],
)
def test_what_is_asked_and_said(kbd, spool, daemon, arguments, request_, said):
    ended = kbd(*arguments)
    assert (ended.code, ended.out, ended.err) == (0, f"{said}\n", "")
    (asked,) = daemon
    assert (asked.verb, asked.job_id, asked.reason) == request_
    assert "@" in asked.by
    assert list(spool.answers.iterdir()) == []
    deadline = time.monotonic() + 30
    while list(spool.control.glob("*.json")):  # a daemon removes a request after it has answered it
        assert time.monotonic() < deadline, "an answered request stayed"
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("job_ids", "code"),
    [
        (["over"], ExitCode.OK),
        (["unknown"], ExitCode.NOT_FOUND),
        (["a", "unknown", "over"], ExitCode.NOT_FOUND),
        (["bad"], ExitCode.REJECTED),
        (["unknown", "bad", "a"], ExitCode.REJECTED),
        (["later"], ExitCode.UNUSABLE),
    ],
)
def test_the_worst_answer_decides_the_exit_code(kbd, daemon, job_ids, code):
    ended = kbd("cancel", *job_ids)
    assert ended.code == code
    fine = sum(job_id in ("a", "over") for job_id in job_ids)
    assert (len(ended.out.splitlines()), len(ended.err.splitlines())) == (fine, len(job_ids) - fine)


def test_each_job_is_asked_for_once(kbd, daemon):
    assert kbd("cancel", "a", "b", "a").code == 0
    assert [request.job_id for request in daemon] == ["a", "b"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["cancel"],
        ["retry"],
        ["rerun"],
        ["rerun", "a", "--seed", "-1"],
        ["cancel", "a b"],
        ["pause", "--reason", "x" * 2000],
    ],
)
def test_what_nobody_can_be_asked(kbd, spool, arguments):
    ended = kbd(*arguments)
    assert ended.code == ExitCode.USAGE
    assert [path.name for path in spool.control.iterdir()] == ["answers"]


@pytest.mark.parametrize("name", ["cancel", "retry", "rerun", "pause", "resume", "drain"])
def test_without_a_daemon_nothing_is_asked(kbd, spool, name):
    ended = kbd(name, *(["a"] if name in ("cancel", "retry", "rerun") else []))
    assert ended.code == ExitCode.NO_DAEMON
    assert "kbd run --spool" in ended.err
    assert [path.name for path in spool.control.iterdir()] == ["answers"]


def test_a_silent_daemon(kbd, spool, daemon_runs):
    with daemon_runs():
        ended = kbd("pause", "--timeout", "0.05")
    assert ended.code == ExitCode.TIMEOUT
    assert "stays" in ended.err
    assert len(list(spool.control.glob("*.json"))) == 1


def test_a_daemon_that_dies_meanwhile(place, spool):
    """Heard of on another host; when it has been silent for long, the request is taken back."""
    spool.status_file.write_text(json.dumps({"daemon": {"pid": 1, "host": "elsewhere"}}))
    times, asked = iter(range(1_000)), []
    rhythm = Rhythm(
        clock=lambda: float(next(times)),
        pause=lambda _: asked.append(len(list(spool.control.glob("*.json")))),
    )
    asking = Asking(place, 500.0, rhythm)
    asking._daemon._snapshots._clock = rhythm.clock
    with pytest.raises(CommandFailed) as failed:
        list(asking.answers([WAKE, WAKE]))
    assert failed.value.code is ExitCode.NO_DAEMON
    assert set(asked) == {2}
    assert list(spool.control.glob("*.json")) == []


def test_an_answer_is_shown_and_not_obeyed(capsys):
    report([Answer(code=AnswerCode.DONE, message="\x1b[2Jdone")], lambda answer: answer.message)
    assert capsys.readouterr().out == "\\x1b[2Jdone\n"


def test_a_rerun_can_have_another_seed(kbd, daemon):
    kbd("rerun", "a", "--seed", "12")
    kbd("rerun", "a")
    assert [asked.seed for asked in daemon] == [12, None]
