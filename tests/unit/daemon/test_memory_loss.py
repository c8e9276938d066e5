"""Deaths for lack of memory: told apart from crashes, and blamed on whoever used it."""

import signal

import pytest

from kbd.daemon.executor.process import ExitStatus
from kbd.daemon.executor.runner_process import RunnerEnd
from kbd.daemon.judge.verdict import JudgeTimings, Verdict
from kbd.daemon.memory_loss import MemoryLoss, explained, memory_loss
from kbd.outbox.report import ErrorReport
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage

GIB = 1 << 30
LIMIT = 4 * GIB
KILL, ABORT, SEGV = signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV
ABORTED = "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n"


def end(exit_status, output="", *, natural=True):
    return RunnerEnd(exit_status, natural, output, truncated=False)


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (end(ExitStatus(None, KILL, out_of_memory=True)), MemoryLoss.OWN),
        (end(ExitStatus(None, ABORT), ABORTED), MemoryLoss.OWN),
        (end(ExitStatus(1), "Traceback …\nMemoryError\n"), MemoryLoss.OWN),
        (end(ExitStatus(None, KILL, host_ran_out=True, peak_bytes=3 * GIB)), MemoryLoss.OWN),
        (end(ExitStatus(None, KILL, host_ran_out=True, peak_bytes=GIB)), MemoryLoss.HOST),
        (end(ExitStatus(None, KILL, host_ran_out=True)), MemoryLoss.HOST),
        (end(ExitStatus(None, KILL, peak_bytes=3 * GIB)), None),
        (end(ExitStatus(None, SEGV, host_ran_out=True, peak_bytes=3 * GIB)), None),
        (end(ExitStatus(None, ABORT), "assertion failed"), None),
        (end(ExitStatus(1), "MemoryError was not it\nValueError: x\n"), None),
        (end(ExitStatus(0), "MemoryError\n"), None),
        (end(ExitStatus(None, KILL, out_of_memory=True), natural=False), None),
        (end(None), None),
    ],
)
def test_why_it_died(ended, expected):
    assert memory_loss(ended, LIMIT) is expected


def lost(who):
    return Verdict(
        status=EvaluationStatus.CRASHED if who == "candidate" else EvaluationStatus.INVALID_REFERENCE,
        stage=Stage.CORRECTNESS,
        blame=Blame(who),
        error=ErrorReport(type="Crash", message="as the judge saw it"),
        lost=who,
        timings=JudgeTimings(load=1.0),
    )


BOMB = end(ExitStatus(None, KILL, out_of_memory=True, peak_bytes=LIMIT), "busy\n")


def test_a_candidate_that_used_too_much():
    found = explained(lost("candidate"), BOMB, LIMIT)
    assert (found.status, found.blame, found.stage) == ("out_of_memory", "candidate", "correctness")
    assert found.error.type == "OutOfMemory"
    assert "more host memory than it may" in found.error.message
    assert "KBD_RUNNER_MEMORY_BYTES" in found.error.hint
    assert found.error.traceback_tail == "busy\n"
    assert found.error.memory.limit_bytes == LIMIT
    assert found.error.memory.needed_bytes == LIMIT


def test_a_reference_that_used_too_much_is_still_a_bad_reference():
    found = explained(lost("reference"), BOMB, LIMIT)
    assert (found.status, found.blame) == ("invalid_reference", "reference")
    assert "the reference ran out of host memory" in found.error.message


@pytest.mark.parametrize("who", ["candidate", "reference"])
def test_the_victim_of_a_short_host_is_not_to_blame(who):
    victim = end(ExitStatus(None, KILL, host_ran_out=True, peak_bytes=GIB))
    found = explained(lost(who), victim, LIMIT)
    assert (found.status, found.blame) == ("harness_error", "harness")
    assert found.timings.load == 1.0
    assert f"killed the {who}" in found.error.message


def test_a_crash_stays_a_crash():
    verdict = lost("candidate")
    assert explained(verdict, end(ExitStatus(None, SEGV)), LIMIT) is verdict
