"""Every figure has a place, and the figures along an axis are round and not too many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.cli.report.scales import even_scale, factor_scale

factors = st.lists(st.floats(min_value=1e-4, max_value=1e4), min_size=1, max_size=20)


@given(st.lists(st.floats(min_value=0, max_value=1e9), min_size=1, max_size=20))
def test_values_lie_within_and_in_order(values):
    scale = even_scale(values, 10, 110)
    places = [scale.at(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(10 <= place <= 110 for place in places)


@given(factors)
def test_factors_lie_within_and_one_is_always_there(values):
    scale = factor_scale(values, 100, 0)
    assert all(0 <= scale.at(value) <= 100 for value in (1.0, *values))
    assert 0 < scale.at(1.0) < 100
    assert 1.0 in scale.ticks(6)


@given(factors, st.integers(3, 8))
def test_ticks_are_within(values, most):
    scale = factor_scale(values, 100, 0)
    assert all(scale.low <= tick <= scale.high for tick in scale.ticks(most))


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0.0, 10.0, [0, 2, 4, 6, 8, 10]), (41.0, 42.0, [41, 41.2, 41.4, 41.6, 41.8, 42])],
)
def test_round_figures(low, high, ticks):
    middle = even_scale([low, high], 0, 1)
    assert [tick for tick in middle.ticks(6) if low <= tick <= high] == pytest.approx(ticks)


def test_doubling_takes_the_same_room_everywhere():
    scale = factor_scale([0.25, 8.0], 0, 1000)
    assert scale.at(0.5) - scale.at(0.25) == pytest.approx(scale.at(8.0) - scale.at(4.0), abs=0.2)
