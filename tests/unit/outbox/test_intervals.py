"""Ratios of ratios, and what is not known of them."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.outbox.intervals import (
    MOST_PAIRS,
    PAIRED_BIAS,
    PROCESS_BIAS,
    PROCESS_SCATTER,
    STUDENT_QUANTILES,
    Ratio,
    Scatter,
    Times,
    geometric_mean,
    median_interval,
    quotient,
    ratio_of_pairs,
    time_ratio,
)

sizes = st.floats(min_value=1e-3, max_value=1e3)


@st.composite
def ratios(draw):
    value = draw(sizes)
    return Ratio(value, (value * draw(st.floats(0.5, 0.999)), value * draw(st.floats(1.001, 2))))


@given(ratios(), ratios())
def test_a_over_b_is_the_reciprocal_of_b_over_a(a, b):
    forth, back = quotient(a, b), quotient(b, a)
    assert forth.value * back.value == pytest.approx(1)
    assert forth.interval[0] * back.interval[1] == pytest.approx(1)
    assert forth.significant is back.significant


@given(ratios())
def test_nothing_is_faster_than_itself(a):
    assert quotient(a, a).value == pytest.approx(1)
    assert quotient(a, a).significant is False


def test_half_widths_add_in_quadrature():
    a, b = Ratio.around(0.0, 0.03), Ratio.around(0.0, 0.04)
    assert quotient(a, b).half_width == pytest.approx(0.05)
    assert geometric_mean([a, b]).half_width == pytest.approx(0.025)


def test_without_one_interval_there_is_none():
    assert quotient(Ratio(2.0), Ratio(1.0, (0.9, 1.1))) == Ratio(2.0)
    assert geometric_mean([Ratio(2.0, (1.9, 2.1)), Ratio(8.0)]) == Ratio(pytest.approx(4.0))
    assert Ratio(2.0).significant is None


@pytest.mark.parametrize("number", [0, 1, 5])
def test_a_few_samples_have_no_interval(number):
    assert median_interval([1.0] * number) is None


def test_the_interval_of_a_median_holds_it_about_as_often_as_it_says():
    dice = random.Random(7)
    held = sum(
        low <= 0 <= high
        for low, high in (median_interval([dice.gauss(0, 1) for _ in range(40)]) for _ in range(1000))
    )
    assert 930 <= held <= 990


def test_two_processes_differ_by_more_than_their_samples_show():
    exact = Times(10.0, (10.0, 10.0))
    assert time_ratio(exact, exact, 0.02).half_width == pytest.approx(0.02)
    assert time_ratio(Times(10.1, (10.1, 10.1)), exact, 0.02).significant is False
    assert time_ratio(Times(10.5, (10.5, 10.5)), exact, 0.02).significant is True


def test_noise_that_reaches_zero_leaves_no_interval():
    assert time_ratio(Times(10.0, (0.0, 20.0)), Times(10.0, (9.0, 11.0)), 0.02).interval is None
    assert math.isclose(time_ratio(Times(10.0), Times(5.0), 0.02).value, 2.0)


@pytest.mark.parametrize("pairs", [2, 5, 20])
def test_pairs_of_one_kernel_are_rarely_significant(pairs):
    draw = random.Random(pairs)
    rounds = 2_000
    found = [
        ratio_of_pairs([math.exp(draw.gauss(0, 0.01)) for _ in range(pairs)], bias=0) for _ in range(rounds)
    ]
    assert 0.03 < sum(ratio.significant for ratio in found) / rounds < 0.07


def share_significant(known, shift, pairs=5, rounds=2_000, deviation=0.01):
    draw = random.Random(pairs)
    found = [[math.exp(draw.gauss(shift, deviation)) for _ in range(pairs)] for _ in range(rounds)]
    return (
        sum(bool(ratio_of_pairs(values, PAIRED_BIAS["cuda"], known).significant) for values in found) / rounds
    )


@pytest.mark.parametrize("pairs", [2, 3, 5, 10, 20])
def test_what_is_known_of_the_scatter_finds_more_and_claims_no_more(pairs):
    known = Scatter(0.0085, 8)
    assert share_significant(known, 0.0, pairs) < 0.05
    assert share_significant(known, 0.02, pairs) >= share_significant(None, 0.02, pairs)


def test_pairs_that_scatter_far_more_than_is_known_are_believed():
    assert share_significant(Scatter(0.0085, 8), 0.0, pairs=20, deviation=0.05) < 0.1


def test_one_pair_is_widened_by_what_is_known():
    for kind, known in PROCESS_SCATTER.items():
        assert PROCESS_BIAS[kind] == pytest.approx(
            STUDENT_QUANTILES[known.degrees - 1] * known.deviation, rel=0.03
        )


def test_a_small_difference_needs_several_pairs():
    draw = random.Random(0)
    slower = [[math.exp(draw.gauss(-0.02, 0.007)) for _ in range(5)] for _ in range(500)]
    assert sum(bool(ratio_of_pairs(pairs, PAIRED_BIAS["cuda"]).significant) for pairs in slower) > 475


@given(st.lists(sizes, min_size=2, max_size=MOST_PAIRS))
def test_pairs_the_other_way_round(values):
    forth, back = ratio_of_pairs(values, 0.01), ratio_of_pairs([1 / value for value in values], 0.01)
    assert forth.value * back.value == pytest.approx(1)
    assert forth.half_width == pytest.approx(back.half_width)
