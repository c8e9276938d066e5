"""Several pairs of processes for one job, and what they say together."""

import math
import random
import statistics

import pytest

from kbd.daemon.executor.process_pairs import ProcessPairs
from kbd.daemon.executor.protocol import Evaluate, StageLimits, WorkloadPlan
from kbd.daemon.judge.verdict import JudgeTimings, Verdict, overall
from kbd.inbox.evaluation import MOST_PROCESS_PAIRS, Evaluation
from kbd.inbox.manifest import KernelCode
from kbd.outbox.intervals import MOST_PAIRS, PAIRED_BIAS
from kbd.outbox.performance import Audit, KernelTiming, Performance, TimingFigures
from kbd.outbox.report import Suspicion
from kbd.outbox.result import WorkloadResult
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage

KERNEL = KernelCode(kernel_type="torch", source_code="def f(): pass")
LIMITS = StageLimits(load_s=1, correctness_s=1, timing_s=1, timing_budget_s=1)
SUSPECT = Verdict(
    status=EvaluationStatus.SUSPECT,
    stage=Stage.TIMING,
    blame=Blame.CANDIDATE,
    suspect=(Suspicion(rule="timed_output_wrong", evidence="seen in the second pair"),),
)


def request(pairs, seconds_left=60.0):
    return Evaluate(
        job_id="job",
        candidate=KERNEL,
        reference=KERNEL,
        workloads=(WorkloadPlan(name="w"),),
        evaluation=Evaluation(process_pairs=pairs),
        seconds_left=seconds_left,
        limits=LIMITS,
    )


def timing(median):
    figures = dict.fromkeys(("median", "mean", "min", "max", "p95", "p99"), median)
    return KernelTiming(as_called=TimingFigures(**figures, std=0.0, samples=20))


def performance(ratio, *, voided=False):
    return Performance(
        candidate=timing(100.0 / ratio),
        reference=timing(100.0),
        speedup=ratio,
        speedup_ci95=(ratio * 0.98, ratio * 1.02),
        significant=not voided and not ratio * 0.98 <= 1 <= ratio * 1.02,
        timing="as_called",
        method="wall",
        cache="cold",
        stop="20 samples",
        audit=Audit(bursts=20, compared=4, failed=0),
    )


def passed(*ratios):
    """The verdict of one pair, with so many workloads."""
    found = [performance(ratio) for ratio in ratios]
    workloads = [
        WorkloadResult(name=f"w{number}", status=EvaluationStatus.PASSED, performance=one)
        for number, one in enumerate(found)
    ]
    status = EvaluationStatus.PASSED
    return Verdict(
        status=status,
        workloads=tuple(workloads),
        timings=JudgeTimings(load=0.1, timing=1.0),
        **overall(found),
    )


def play(pairs, verdicts):
    """All verdicts that were asked for, and what they say together."""
    given = iter(verdicts)
    last, played = next(given), 1
    while pairs.another_after(last):
        last, played = next(given), played + 1
    return played, pairs.joint(last)


def test_one_pair_says_what_it_says():
    verdict = passed(1.01)
    assert play(ProcessPairs(request(1), "cpu"), [verdict]) == (1, verdict)


def test_the_mean_of_several():
    ratios = [1.02, 1.03, 1.01, 1.025, 1.015]
    played, verdict = play(ProcessPairs(request(5), "cuda"), map(passed, ratios))
    assert played == 5
    assert verdict.speedup == pytest.approx(math.prod(ratios) ** (1 / 5))
    assert verdict.significant is True
    (found,) = (workload.performance for workload in verdict.workloads)
    assert found.pairs == tuple(ratios)
    assert found.speedup == verdict.speedup
    assert found.candidate.as_called.median == pytest.approx(100 / 1.02)  # of the pair in the middle
    assert found.audit == Audit(bursts=100, compared=20, failed=0)
    assert found.stop == "20 samples, in each of 5 pairs of processes"
    assert verdict.timings.load == pytest.approx(0.5)
    assert (verdict.timings.correctness, verdict.timings.timing) == (None, 5.0)
    assert verdict.notes == ()


def test_scatter_between_pairs_is_in_the_interval():
    draw = random.Random(1)
    ratios = [math.exp(draw.gauss(0, 0.05)) for _ in range(6)]
    _, verdict = play(ProcessPairs(request(6), "cpu"), map(passed, ratios))
    low, high = verdict.speedup_ci95
    assert verdict.significant is False
    assert high / low > 1.04 / 0.98


def test_on_a_gpu_it_is_known_how_pairs_scatter():
    alike = [1.019, 1.021]
    _, verdict = play(ProcessPairs(request(2), "cpu"), map(passed, alike))
    _, on_gpu = play(ProcessPairs(request(2), "cuda"), map(passed, alike))
    assert on_gpu.workloads[0].performance.noise == pytest.approx(
        PAIRED_BIAS["cuda"]
        + 2.2622 * math.sqrt((8 * 0.0085**2 + statistics.variance(map(math.log, alike))) / 9 / 2)
    )
    assert on_gpu.speedup == verdict.speedup


def test_what_voids_a_pair_voids_them_all():
    calm, busy = passed(2.0), performance(2.1, voided=True)
    voided = calm.model_copy(
        update={"workloads": (calm.workloads[0].model_copy(update={"performance": busy}),)} | overall([busy])
    )
    _, verdict = play(ProcessPairs(request(2), "cpu"), [calm, voided])
    assert verdict.speedup == pytest.approx((2.0 * 2.1) ** 0.5)
    assert verdict.significant is False
    assert overall([calm.workloads[0].performance, busy])["significant"] is False
    assert overall([calm.workloads[0].performance] * 2)["significant"] is True


def test_every_workload_has_its_pairs():
    _, verdict = play(ProcessPairs(request(2), "cpu"), [passed(2.0, 0.5), passed(2.2, 0.55)])
    assert [workload.performance.pairs for workload in verdict.workloads] == [(2.0, 2.2), (0.5, 0.55)]
    assert verdict.speedup == pytest.approx((2.0 * 2.2 * 0.5 * 0.55) ** 0.25)


def test_what_one_pair_finds_wrong_is_the_verdict():
    assert play(ProcessPairs(request(5), "cpu"), [passed(1.0), SUSPECT]) == (2, SUSPECT)


def test_a_judge_that_is_lost_leaves_no_verdict():
    assert play(ProcessPairs(request(5), "cpu"), [passed(1.0), None]) == (2, None)


@pytest.mark.parametrize("verdict", [None, SUSPECT, Verdict(status=EvaluationStatus.PASSED)])
def test_nothing_to_compare_needs_no_second_pair(verdict):
    assert play(ProcessPairs(request(5), "cpu"), [verdict]) == (1, verdict)


def test_the_jobs_time_ends_the_pairs():
    now = iter([0.0, 4.0, 8.0, 12.0])
    pairs = ProcessPairs(request(5, seconds_left=10.0), "cpu", lambda: next(now))
    played, verdict = play(pairs, [passed(1.0), passed(1.1), passed(1.2)])
    assert played == 3
    assert verdict.workloads[0].performance.pairs == (1.0, 1.1, 1.2)
    assert verdict.notes == ("the job's time was over after 3 of 5 pairs of processes",)


def lone(*medians):
    """The verdict on a candidate without a reference, with so many workloads."""
    workloads = [
        WorkloadResult(
            name=f"w{number}",
            status=EvaluationStatus.PASSED,
            performance=Performance(
                candidate=timing(median), method="wall", cache="cold", stop="20 samples", noise=0.5
            ),
        )
        for number, median in enumerate(medians)
    ]
    return Verdict(status=EvaluationStatus.PASSED, workloads=tuple(workloads))


def test_a_lone_candidate_is_as_fast_as_in_the_process_in_the_middle():
    medians = [10.0, 12.0, 10.2]
    played, verdict = play(ProcessPairs(request(3), "cpu"), map(lone, medians))
    (found,) = (workload.performance for workload in verdict.workloads)
    assert (played, found.processes_us, found.pairs) == (3, tuple(medians), ())
    assert found.candidate.as_called.median == 10.2
    assert found.stop == "20 samples, in each of 3 processes"
    assert found.noise == pytest.approx(4.3027 * statistics.stdev(map(math.log, medians)) / math.sqrt(3))
    assert (verdict.speedup, verdict.notes) == (None, ())


def test_each_workload_of_a_lone_candidate_has_its_middle():
    _, verdict = play(ProcessPairs(request(2), "cpu"), [lone(3.0, 8.0), lone(4.0, 7.0)])
    assert [workload.performance.processes_us for workload in verdict.workloads] == [(3.0, 4.0), (8.0, 7.0)]
    assert [workload.performance.candidate.as_called.median for workload in verdict.workloads] == [4.0, 8.0]


def test_a_time_of_nothing_has_no_noise():
    _, verdict = play(ProcessPairs(request(2), "cpu"), [lone(0.0), lone(4.0)])
    assert verdict.workloads[0].performance.noise is None


def test_the_jobs_time_ends_processes_of_a_lone_candidate():
    now = iter([0.0, 4.0, 12.0])
    _, verdict = play(
        ProcessPairs(request(3, seconds_left=10.0), "cpu", lambda: next(now)), [lone(1.0), lone(2.0)]
    )
    assert verdict.notes == ("the job's time was over after 2 of 3 processes",)


def test_a_speedup_that_was_withheld_needs_no_second_pair():
    withheld = performance(2.0).model_copy(
        update={"speedup": None, "speedup_ci95": None, "significant": None, "timing": None}
    )
    result = WorkloadResult(name="w", status=EvaluationStatus.PASSED, performance=withheld)
    verdict = Verdict(status=EvaluationStatus.PASSED, workloads=(result,))
    assert play(ProcessPairs(request(5), "cpu"), [verdict]) == (1, verdict)


def test_an_interval_is_known_for_as_many_pairs_as_a_job_may_ask_for():
    assert MOST_PROCESS_PAIRS == MOST_PAIRS
