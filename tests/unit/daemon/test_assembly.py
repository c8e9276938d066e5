"""Putting a result together: what the judge saw, how processes ended, what they printed."""

import signal

import pytest

from kbd.daemon.assembly import (
    OUTPUT_SHOWN_CHARS,
    JobIdentity,
    Times,
    environment_report,
    refused,
    result_of,
)
from kbd.daemon.executor.local import Outcome
from kbd.daemon.executor.process import ExitStatus
from kbd.daemon.executor.protocol import Progress
from kbd.daemon.executor.runner_process import RunnerEnd
from kbd.daemon.executor.sandbox.isolation import Isolation, IsolationSettings
from kbd.daemon.executor.sandbox.layers import Layer
from kbd.daemon.judge.verdict import JudgeTimings, Verdict
from kbd.daemon.version import kbd_version
from kbd.outbox.circumstances import DeviceReport
from kbd.outbox.performance import KernelTiming, Performance, TimingFigures
from kbd.outbox.report import ErrorReport
from kbd.outbox.result import WorkloadResult
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage

JOB = JobIdentity("j", "a" * 64, 2, {"team": "a"})
TIMES = Times(queued=0.5, total=3.0)
ISOLATION = Isolation(IsolationSettings(), absent=((Layer.PID, "not here"),))
DEVICE = DeviceReport(kind="cpu", name="a processor")
PASSED = Verdict(status=EvaluationStatus.PASSED, compiled=True, timings=JudgeTimings(load=1.0), seed=7)


def end(code=None, number=None, *, natural=True, output="", truncated=False):
    return RunnerEnd(ExitStatus(code, number), natural, output, truncated)


def result(verdict=PASSED, failure=None, runners=None, device=DEVICE, progress=None, environment=None):
    outcome = Outcome(verdict, failure, runners or {}, device, progress)
    return result_of(JOB, outcome, TIMES, environment or {}, ISOLATION)


def workload_timed(name, interpreted):
    """A workload that passed; None: it was not timed."""
    timing = KernelTiming(
        as_called=TimingFigures(median=1, mean=1, std=0, min=1, max=1, p95=1, p99=1, samples=1)
    )
    performance = Performance(candidate=timing, method="wall", cache="cold", interpreted=bool(interpreted))
    timed = None if interpreted is None else performance
    return WorkloadResult(name=name, status=EvaluationStatus.PASSED, performance=timed)


def crashed(who="candidate", hint=None):
    return Verdict(
        status=EvaluationStatus.CRASHED if who == "candidate" else EvaluationStatus.INVALID_REFERENCE,
        stage=Stage.CORRECTNESS,
        blame=Blame(who),
        error=ErrorReport(type="Crash", message="as the judge saw it", hint=hint),
        lost=who,
    )


# --- what is passed on ------------------------------------------------------------------------------


def test_what_the_judge_found_and_what_the_daemon_knows():
    found = result(runners={"candidate": end(0, output="hello"), "reference": end(0, output="there")})
    assert (found.job_id, found.attempt, found.labels) == ("j", 2, {"team": "a"})
    assert found.manifest_sha256 == "a" * 64
    assert (found.state, found.status, found.compiled, found.seed) == ("completed", "passed", True, 7)
    assert found.device == DEVICE
    assert found.isolation == ISOLATION.report()
    assert found.isolation.missing == ("PID namespace: not here",)
    assert (found.timings_s.queued, found.timings_s.load, found.timings_s.total) == (0.5, 1.0, 3.0)
    assert found.timings_s.timing is None
    assert (found.logs.candidate, found.logs.reference, found.logs.truncated) == ("hello", "there", False)


def test_the_judges_own_report_of_the_device_is_the_newer_one():
    newer = DEVICE.model_copy(update={"throttled": True})
    assert result(PASSED.model_copy(update={"device": newer})).device == newer


@pytest.mark.parametrize(
    ("timed_in_interpreter", "expected"), [([], False), ([False], False), ([None, True], True)]
)
def test_a_job_is_interpreted_if_a_workload_was_timed_so(timed_in_interpreter, expected):
    workloads = tuple(workload_timed(str(number), how) for number, how in enumerate(timed_in_interpreter))
    assert result(PASSED.model_copy(update={"workloads": workloads})).interpreted is expected


def test_a_lone_candidate_has_one_log():
    assert result(runners={"candidate": end(0, output="x")}).logs.reference == ""


def test_cut_output_is_marked():
    assert result(runners={"candidate": end(0, truncated=True)}).logs.truncated


def test_versions_are_those_of_the_nursery():
    found = environment_report({"torch": "9.9", "triton": None, "python": "3.99", "cuda": "13"})
    assert (found.torch, found.triton, found.python, found.cuda) == ("9.9", None, "3.99", "13")
    assert found.kbd == kbd_version()
    assert found.host


# --- runners that died ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "words", "hint"),
    [
        (signal.SIGSEGV, "killed by SIGSEGV", "compute-sanitizer"),
        (signal.SIGBUS, "killed by SIGBUS", "memory that is not its own"),
        (signal.SIGABRT, "killed by SIGABRT", "last words"),
        (signal.SIGFPE, "killed by SIGFPE", "divided by zero"),
        (signal.SIGKILL, "killed by SIGKILL", "lack of memory"),
        (signal.SIGTERM, "killed by SIGTERM", None),
        (40, "killed by signal 40", None),
        (64, "killed by SIGRTMAX", None),
    ],
)
def test_a_crash_says_which_signal_and_what_to_do(number, words, hint):
    error = result(crashed(), runners={"candidate": end(number=int(number), output="last words")}).error
    assert error.message == f"the candidate's process ended before it answered: {words}"
    assert (hint is None) == (error.hint is None)
    assert hint is None or hint in error.hint
    assert error.traceback_tail == "last words"


@pytest.mark.parametrize("code", [0, 1, 139])
def test_an_exit_says_its_status(code):
    error = result(crashed(), runners={"candidate": end(code)}).error
    assert error.message.endswith(f"exited with status {code}")
    assert (error.hint, error.traceback_tail) == (None, None)


def test_a_runner_that_only_hung_up_is_not_said_to_be_killed():
    error = result(crashed(), runners={"candidate": end(number=9, natural=False)}).error
    assert error.message.endswith("closed its channel to the judge")
    assert error.hint is None


def test_a_crashed_reference_keeps_the_hint_that_the_candidate_was_not_judged():
    runners = {"reference": end(number=11), "candidate": end(0)}
    error = result(crashed("reference", "correct the reference"), runners=runners).error
    assert error.message == "the reference's process ended before it answered: killed by SIGSEGV"
    assert error.hint == "correct the reference"


def test_the_end_of_what_was_printed_is_shown():
    output = "begin" + "x" * 10_000 + "the end"
    error = result(crashed(), runners={"candidate": end(1, output=output)}).error
    assert len(error.traceback_tail) == OUTPUT_SHOWN_CHARS
    assert error.traceback_tail.endswith("the end")


def test_the_judges_words_stay_where_nobody_died():
    verdict = crashed().model_copy(update={"lost": None})
    assert result(verdict, runners={"candidate": end(number=11)}).error.message == "as the judge saw it"
    assert result(crashed(), runners={}).error.message == "as the judge saw it"


# --- no verdict -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("progress", "stage", "ending"),
    [
        (None, "load", ""),
        (Progress(stage="timing"), "timing", ""),
        (Progress(stage="correctness", role="reference"), "correctness", " while waiting for the reference"),
    ],
)
def test_a_lost_judge_is_the_harness_own_fault(progress, stage, ending):
    found = result(None, failure="the judge died", progress=progress)
    assert (found.state, found.status, found.blame) == ("failed", "harness_error", "harness")
    assert found.stage == stage
    assert found.error.message == "the judge died" + ending


def test_no_verdict_and_no_reason():
    assert result(None).error.message == "no verdict"


# --- jobs that never ran ----------------------------------------------------------------------------


def test_a_refused_job():
    error = ErrorReport(type="X", message="m")
    found = refused(JOB, EvaluationStatus.INVALID_JOB, Blame.JOB, Stage.INTAKE, error, queued=1.5)
    assert (found.state, found.status, found.stage, found.blame) == (
        "rejected",
        "invalid_job",
        "intake",
        "job",
    )
    assert (found.error, found.timings_s.queued, found.timings_s.total) == (error, 1.5, None)
    assert found.workloads == ()


def test_a_refused_file_that_was_never_read_has_no_digest():
    job = JobIdentity("j", "", 0, {})
    found = refused(
        job, EvaluationStatus.INVALID_JOB, Blame.JOB, Stage.INTAKE, ErrorReport(type="X", message="m")
    )
    assert found.manifest_sha256 is None
