"""A session turns what was found into a verdict, and into one that a result can be made of."""

import math

import pytest

from kbd.daemon.judge.verdict import JudgeTimings
from kbd.outbox.correctness import Correctness
from kbd.outbox.performance import KernelTiming, Performance, TimingFigures
from kbd.outbox.report import ErrorReport
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage

TIMINGS = JudgeTimings(load=0.5)
CORRECT = Correctness(trials=2, oracle="reference")
ERROR = ErrorReport(type="Crash", message="gone")


def performance(speedup, interval=None):
    figures = TimingFigures(median=2, mean=2, std=0, min=2, max=2, p95=2, p99=2, samples=1)
    timing = KernelTiming(as_called=figures)
    return Performance(
        candidate=timing,
        reference=timing,
        speedup=speedup,
        speedup_ci95=interval,
        significant=None if interval is None else not interval[0] <= 1 <= interval[1],
        timing="as_called",
        method="wall",
        cache="warm",
    )


@pytest.fixture
def session(make_kernel, make_session):
    """Two workloads, both kernels."""
    return make_session(*(make_kernel(role, lambda x: x) for role in ("candidate", "reference")))


@pytest.fixture
def one(make_kernel, make_session, document):
    """One workload."""
    kernels = (make_kernel(role, lambda x: x) for role in ("candidate", "reference"))
    return make_session(*kernels, document(workloads=[{"name": "only", "axes": {"N": 4}}]))


def find(session, *performances):
    for finding, measured in zip(session.findings, performances, strict=True):
        finding.correctness = CORRECT
        finding.performance = measured


def test_passed_without_timing(session):
    find(session, None, None)
    verdict = session.passed(TIMINGS)
    assert (verdict.status, verdict.correct, verdict.speedup) == (EvaluationStatus.PASSED, True, None)
    assert [result.name for result in verdict.workloads] == ["small", "large"]
    assert [result.axes for result in verdict.workloads] == [{"N": 4}, {"N": 9}]
    assert verdict.timings == TIMINGS
    assert verdict.seed == session.seeds.job == 7
    assert verdict.device.kind == "cpu"


def test_the_speedup_of_one_workload_is_its_own(one):
    find(one, performance(2.0, (1.5, 2.5)))
    verdict = one.passed(TIMINGS)
    assert (verdict.speedup, verdict.speedup_ci95, verdict.significant) == (2.0, (1.5, 2.5), True)


def test_the_speedup_of_several_is_their_geometric_mean(session):
    find(session, performance(4.0, (3.9, 4.1)), performance(0.25, (0.24, 0.26)))
    verdict = session.passed(TIMINGS)
    assert verdict.speedup == pytest.approx(1.0)
    low, high = verdict.speedup_ci95
    assert 0.95 < low < 1 < high < 1.05
    assert verdict.significant is False


def test_independent_errors_add_in_quadrature(session):
    width = math.exp(0.2)
    find(session, performance(2.0, (2 / width, 2 * width)), performance(2.0, (2 / width, 2 * width)))
    low, high = session.passed(TIMINGS).speedup_ci95
    assert math.log(high / low) / 2 == pytest.approx(0.2 / math.sqrt(2))


def test_an_unknown_interval_makes_the_joint_one_unknown(session):
    find(session, performance(2.0, (1.9, 2.1)), performance(2.0))
    verdict = session.passed(TIMINGS)
    assert (verdict.speedup, verdict.speedup_ci95) == (pytest.approx(2.0), None)


def test_no_speedup_is_claimed_for_a_part_of_the_workloads(session):
    find(session, performance(2.0), None)
    assert session.passed(TIMINGS).speedup is None


def test_a_failure_ends_with_the_workload_that_decided(session):
    session.findings[0].correctness = CORRECT
    session.enter(session.findings[0])
    verdict = session.verdict(
        TIMINGS,
        status=EvaluationStatus.CRASHED,
        blame=Blame.CANDIDATE,
        stage=Stage.CORRECTNESS,
        error=ERROR,
    )
    assert [(result.name, result.status) for result in verdict.workloads] == [("small", "crashed")]
    assert verdict.workloads[0].error == ERROR
    assert verdict.correct is None, "one of two workloads was never compared"


def test_findings_before_the_failure_are_kept(session):
    find(session, performance(2.0), None)
    session.enter(session.findings[1])
    verdict = session.verdict(
        TIMINGS, status=EvaluationStatus.TIMEOUT, blame=Blame.CANDIDATE, stage=Stage.TIMING, error=ERROR
    )
    first, second = verdict.workloads
    assert (first.status, first.performance.speedup) == ("passed", 2.0)
    assert (second.status, second.correctness, second.performance) == ("timeout", CORRECT, None)
    assert verdict.correct is True, "every workload was compared before the timing"
    assert verdict.speedup is None


@pytest.mark.parametrize("status", ["incorrect_output", "incorrect_shape", "incorrect_dtype", "non_finite"])
def test_incorrect_is_not_correct(session, status):
    session.findings[0].correctness = CORRECT
    verdict = session.verdict(
        TIMINGS, status=EvaluationStatus(status), blame=Blame.CANDIDATE, stage=Stage.CORRECTNESS, error=ERROR
    )
    assert verdict.correct is False


def test_what_does_not_compile_was_not_compiled(session):
    session.compiled = True
    verdict = session.verdict(
        TIMINGS,
        status=EvaluationStatus.COMPILE_ERROR,
        blame=Blame.CANDIDATE,
        stage=Stage.LOAD,
        error=ERROR,
    )
    assert verdict.compiled is False


def test_pinned_inputs_of_any_workload_count(session):
    find(session, None, None)
    session.findings[1].pinned_inputs = True
    assert session.passed(TIMINGS).pinned_inputs


def test_progress_names_the_workload_only_where_there_are_several(session, one):
    session.enter(session.findings[1])
    session.tell(Stage.TIMING)
    one.tell(Stage.LOAD, "candidate")
    assert session.told == [(Stage.TIMING, None, "large")]
    assert one.told == [(Stage.LOAD, "candidate", None)]


def test_a_seed_is_drawn_where_the_job_gives_none(make_kernel, make_session, document):
    kernels = [make_kernel(role, lambda x: x) for role in ("candidate", "reference")]
    seeds = {make_session(*kernels, document(evaluation={})).seeds.job for _ in range(3)}
    assert len(seeds) == 3


def test_the_folder_is_a_path_or_nothing(make_kernel, make_session):
    kernel = make_kernel("candidate", lambda x: x)
    assert make_session(kernel).folder is None
    assert make_session(kernel, folder="/spool/x.job").folder.name == "x.job"
