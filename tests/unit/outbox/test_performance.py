import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kbd.outbox.performance import Audit, ClaimedTiming, KernelTiming, TimingFigures

times = st.lists(st.floats(min_value=1e-3, max_value=1e9), min_size=2, max_size=40)


@given(times)
def test_figures_of_any_samples_can_be_reported(samples):
    ordered = sorted(samples)
    TimingFigures(
        median=statistics.median(samples),
        mean=statistics.fmean(samples),
        std=statistics.pstdev(samples),
        min=ordered[0],
        max=ordered[-1],
        p95=max(ordered[int(0.95 * len(ordered))], statistics.median(samples)),
        p99=max(ordered[int(0.99 * len(ordered))], statistics.median(samples)),
        samples=len(samples),
    )


@pytest.mark.parametrize(
    "wrong",
    [{"min": 50.0}, {"max": 1.0}, {"p95": 1.0}, {"p99": 41.3}, {"mean": 99.0}, {"samples": 0}, {"std": -1.0}],
)
def test_figures_out_of_order_are_refused(make_figures, wrong):
    with pytest.raises(ValidationError):
        TimingFigures(**make_figures().model_dump() | wrong)


def test_no_more_samples_than_were_counted(make_figures):
    with pytest.raises(ValidationError, match="at most 2 samples"):
        TimingFigures(**make_figures().model_dump() | {"samples": 2})


def test_a_timing_without_figures_is_none():
    with pytest.raises(ValidationError, match="found neither"):
        KernelTiming(claimed=ClaimedTiming(median=1.0))


@pytest.mark.parametrize("counts", [(1, 2, 0), (3, 2, 3), (-1, 0, 0)])
def test_audit_counts_are_nested(counts):
    bursts, compared, failed = counts
    with pytest.raises(ValidationError):
        Audit(bursts=bursts, compared=compared, failed=failed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference": None}, "candidate and reference"),
        ({"timing": None}, "candidate and reference"),
        ({"speedup": None}, "no interval and no significance"),
        ({"speedup_ci95": None}, "expected an interval"),
        ({"speedup_ci95": (2.0, 1.0)}, "low <= high"),
        ({"speedup_ci95": (0.0, 1.0)}, "0 < low"),
        ({"speedup_ci95": (0.9, 1.1)}, "contains 1"),
        ({"speedup": 0.0}, "greater than 0"),
        ({"method": "guess"}, "graph"),
    ],
)
def test_claims_without_ground_are_refused(make_performance, changes, message):
    with pytest.raises(ValidationError, match=message):
        make_performance(**changes)


def test_a_speedup_needs_the_figures_that_timing_names(make_performance, make_figures):
    eager = KernelTiming(as_called=make_figures())
    with pytest.raises(ValidationError, match="candidate and reference"):
        make_performance(reference=eager, timing="device")
    assert make_performance(reference=eager, timing="as_called").speedup == 2.31


def test_significance_can_be_voided(make_performance):
    assert make_performance(significant=False).significant is False


def test_headline_is_what_timing_names(make_performance):
    measured = make_performance()
    assert measured.headline("candidate") == measured.candidate.device
    assert make_performance(timing="as_called").headline("candidate") == measured.candidate.as_called
    alone = make_performance(reference=None, timing=None, speedup=None, speedup_ci95=None, significant=None)
    assert alone.headline("candidate") == measured.candidate.device
    assert alone.headline("reference") is None
