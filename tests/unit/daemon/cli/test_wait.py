"""`kbd wait`, with results that are there, and ones that never come."""

import pytest

from kbd.daemon.cli import awaiting as awaiting_module
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.outbox.verdict import EvaluationStatus


def test_one_line_a_job(kbd, has_published, make_result, make_failure):
    has_published(make_result("good"))
    has_published(make_failure(EvaluationStatus.CRASHED, "worse-one", "killed by\nSIGSEGV \x1b[2J"))
    ended = kbd("wait", "good", "worse-one")
    assert ended.out.splitlines() == [
        "good       passed            2.31x speed-up (95% interval 2.28x to 2.34x)",
        "worse-one  crashed           candidate, correctness: killed by SIGSEGV \\x1b[2J",
    ]


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        (["passed", "passed"], ExitCode.OK),
        (["passed", "timeout"], ExitCode.NOT_PASSED),
        (["invalid_reference"], ExitCode.NOT_PASSED),
        (["harness_error"], ExitCode.NOT_PASSED),
        (["passed", "invalid_job", "timeout"], ExitCode.REJECTED),
    ],
)
def test_exit_codes(kbd, has_published, make_result, make_failure, statuses, code):
    for number, status in enumerate(statuses):
        name = f"job{number}"
        failed = None if status == "passed" else make_failure(EvaluationStatus(status), name)
        has_published(failed or make_result(name))
    assert kbd("wait", *(f"job{number}" for number in range(len(statuses)))).code == code


def test_unknown_ids_are_named_and_nothing_is_waited_for(kbd, has_published, make_result):
    has_published(make_result("known"))
    ended = kbd("wait", "known", "nope", "neither")
    assert (ended.code, ended.out) == (ExitCode.NOT_FOUND, "")
    assert "nope, neither" in ended.err


def test_an_unknown_id_that_is_the_name_of_a_finished_file(kbd, spool):
    (spool.done / "20260102").mkdir()
    (spool.done / "20260102" / "mine.yaml").write_text("id: declared\n")
    ended = kbd("wait", "mine")
    assert ended.code == ExitCode.NOT_FOUND
    assert "The file delivered as mine declares the id declared." in ended.err


def test_no_daemon(kbd, has_queued, has_published, make_result):
    has_queued("waiting")
    has_published(make_result("done"))
    ended = kbd("wait", "waiting", "done")
    assert ended.code == ExitCode.NO_DAEMON
    assert ended.out.startswith("done")
    assert "no result of waiting" in ended.err


def test_time_is_up(kbd, has_queued, daemon_runs):
    for number in range(8):
        has_queued(f"job{number}")
    with daemon_runs():
        ended = kbd("wait", "--timeout", "0.01", *(f"job{number}" for number in range(8)))
    assert ended.code == ExitCode.TIMEOUT
    assert "and 3 other jobs" in ended.err


def test_a_result_that_cannot_be_read(kbd, spool):
    (spool.outbox / "a.json").write_text("{}")
    ended = kbd("wait", "a")
    assert ended.code == ExitCode.UNUSABLE
    assert "expected a result of schema version 1" in ended.err


@pytest.mark.parametrize("command", [["wait"], ["show"]])
def test_a_damaged_result_is_named(kbd, spool, has_published, make_result, command):
    has_published(make_result("good"))
    (spool.outbox / "broke.json").write_text("{bad\n")
    ended = kbd(*command, "broke")
    assert ended.code == ExitCode.UNUSABLE
    assert f"error: {spool.outbox / 'broke.json'}: expected a result of schema version 1" in ended.err
    assert "it is damaged" in ended.err
    assert "validation" not in ended.err


def test_a_candidate_alone(kbd, has_published, make_result):
    result = make_result("alone", speedup=None, speedup_ci95=None, significant=None)
    has_published(result)
    assert kbd("wait", "alone").out == "alone  passed            41.2 µs a call\n"


def test_a_file_that_declares_another_id_than_its_name(kbd, spool, daemon_runs, monkeypatch):
    monkeypatch.setattr(awaiting_module, "CHECK_INTERVAL_S", 0.0)
    monkeypatch.setattr(awaiting_module, "LOOK_INTERVAL_S", 0.0)
    (spool.inbox / "mine.yaml").write_text("id: declared\n")
    with daemon_runs():
        ended = kbd("wait", "mine")
    assert (ended.code, ended.out) == (ExitCode.NOT_FOUND, "")
    assert "declares the id declared: kbd wait" in ended.err


def test_times_of_an_interpreter_are_no_times(kbd, has_published, make_result):
    has_published(
        make_result("slow", speedup=None, speedup_ci95=None, significant=None, interpreted=True),
    )
    line = "slow  passed            the kernel ran in an interpreter: its times mean nothing\n"
    assert kbd("wait", "slow").out == line
    assert "ran in an interpreter" in kbd("show", "slow").out
