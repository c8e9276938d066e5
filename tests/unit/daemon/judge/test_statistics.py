"""Statistics against what is known of them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.judge.statistics import (
    BOOTSTRAP_SEED,
    RESAMPLES,
    SpeedUp,
    ratio_half_width,
    relative_half_width,
    slope,
    speed_up,
    summarize,
)

TIMES = st.lists(st.floats(min_value=0.1, max_value=1e6), min_size=1, max_size=60)


@given(TIMES)
def test_summary_is_ordered(samples):
    summary = summarize(samples)
    assert summary.min <= summary.median <= summary.p95 <= summary.p99 <= summary.max
    assert summary.min <= summary.mean * (1 + 1e-9)
    assert summary.mean <= summary.max * (1 + 1e-9)
    assert summary.samples == len(samples)


def test_summary_of_known_samples():
    summary = summarize([1.0, 2.0, 3.0, 4.0])
    assert summary.median == 2.5
    assert summary.std == pytest.approx(math.sqrt(5 / 3))


@pytest.mark.parametrize("count", [2, 3, 20, 101])
def test_the_interval_is_that_of_the_resampled_medians(count):
    reference, candidate = np.random.default_rng(count).lognormal(size=(2, count))
    ratios = np.log(reference) - np.log(candidate)
    picks = np.random.default_rng(BOOTSTRAP_SEED).integers(0, count, size=(RESAMPLES, count))
    medians = np.sort(np.median(ratios[picks], axis=1))
    found = speed_up(reference, candidate)
    assert (found.low, found.high) == pytest.approx((np.exp(medians[49]), np.exp(medians[-50])), rel=1e-12)


def test_no_samples_are_an_error():
    with pytest.raises(ValueError, match="no samples"):
        summarize([])


@given(
    overhead=st.floats(0, 1e4), launch=st.floats(0.1, 1e4), short=st.integers(0, 50), more=st.integers(1, 500)
)
def test_slope_cancels_what_a_burst_costs_by_itself(overhead, launch, short, more):
    long = short + more
    found = slope(overhead + short * launch, overhead + long * launch, short, long)
    assert found == pytest.approx(launch, rel=1e-6, abs=1e-6)


def test_slope_needs_two_lengths():
    with pytest.raises(ValueError, match="longer"):
        slope(1.0, 2.0, 5, 5)


@given(TIMES.filter(lambda samples: len(samples) > 1))
def test_a_kernel_is_as_fast_as_itself(samples):
    found = speed_up(samples, samples)
    assert found.ratio == found.low == found.high == 1.0
    assert not found.significant


@given(TIMES, st.floats(0.2, 5))
def test_exact_ratio_is_found_and_its_reciprocal_the_other_way(samples, factor):
    slower = [sample * factor for sample in samples]
    forward, backward = speed_up(slower, samples), speed_up(samples, slower)
    assert forward.ratio == pytest.approx(factor)
    assert forward.ratio * backward.ratio == pytest.approx(1.0)


def test_true_difference_within_noise_is_significant_and_none_is_not():
    noise = np.random.default_rng(7)
    base = noise.normal(100, 1, 100)
    same = noise.normal(100, 1, 100)
    faster = noise.normal(90, 1, 100)
    assert speed_up(base, faster).significant
    assert not speed_up(base, same).significant


def test_interval_shrinks_with_samples():
    noise = np.random.default_rng(1).normal(100, 5, 400)
    assert relative_half_width(noise) < relative_half_width(noise[:20])


def test_bias_widens_the_interval_on_both_sides_and_moves_nothing():
    samples = list(np.random.default_rng(3).normal(100, 1, 50))
    plain, wide = speed_up(samples, samples[::-1]), speed_up(samples, samples[::-1], bias=0.02)
    assert wide.ratio == plain.ratio
    assert math.log(plain.low / wide.low) == pytest.approx(0.02)
    assert math.log(wide.high / plain.high) == pytest.approx(0.02)


def test_a_difference_within_the_bias_is_not_significant():
    reference, candidate = [101.0] * 20, [100.0] * 20
    assert speed_up(reference, candidate, bias=0.005).significant
    assert not speed_up(reference, candidate, bias=0.02).significant


def test_one_sample_gives_a_ratio_and_no_interval():
    found = speed_up([200.0], [100.0])
    assert found.ratio == pytest.approx(2.0)
    assert not found.bounded
    assert not found.significant


@given(st.lists(st.floats(50, 200), min_size=20, max_size=40), st.integers(0, 4), st.integers(0, 4))
def test_a_slope_that_is_not_positive_only_keeps_its_side_of_the_median(samples, ours, theirs):
    """As if it had been any tiny number: the ratio moves to its neighbours among the honest ones at most."""
    reference, candidate = list(samples), [sample / 2 for sample in samples]
    for place in range(ours):
        candidate[place] = -float(place)
    for place in range(ours, ours + theirs):
        reference[place] = 0.0
    found = speed_up(reference, candidate)
    assert found.ratio == pytest.approx(2.0)
    assert found.bounded


@pytest.mark.parametrize(
    ("reference", "candidate"),
    [([1.0] * 9, [-1.0] * 9), ([-1.0] * 9, [1.0] * 9), ([0.0] * 9, [-1.0] * 9), ([1.0, -1.0], [-1.0, 1.0])],
)
def test_nothing_but_noise_is_no_speed_up(reference, candidate):
    assert speed_up(reference, candidate) is None
    assert ratio_half_width(reference, candidate) == math.inf


def test_an_interval_that_reaches_the_noise_has_no_end():
    reference = [100.0] * 9
    candidate = [-1.0] * 3 + [50.0] * 6
    found = speed_up(reference, candidate)
    assert found.ratio == pytest.approx(2.0)
    assert found.low == pytest.approx(2.0)
    assert found.high == math.inf
    assert not found.bounded


def test_samples_around_nothing_are_infinitely_noisy():
    assert relative_half_width([-1.0, -2.0, 3.0]) == math.inf


def test_without_an_interval_nothing_is_significant():
    """Noise may leave a bound on one side only: far from 1, and yet no interval."""
    assert not SpeedUp(2.0, 1.5, math.inf).significant
    assert not SpeedUp(0.5, 0.0, 0.8).significant
    assert SpeedUp(2.0, 1.5, 2.5).significant
