"""Bounds that follow from dtype and scale."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.judge import tolerance
from kbd.daemon.judge.tolerance import (
    RELATIVE_TOLERANCE,
    AppliedTolerance,
    AskedTolerance,
    root_mean_square,
    smallest_difference,
    tolerance_for,
)
from kbd.inbox.tolerance import Tolerance

FLOATS = list(RELATIVE_TOLERANCE)


@given(st.floats(1e-6, 1e6), st.sampled_from([torch.float64, torch.float32, torch.bfloat16]))
def test_the_absolute_bound_grows_with_the_scale(scale, dtype):
    values = torch.linspace(-1, 1, 101, dtype=torch.float64)
    unit, scaled = (
        tolerance_for(values.to(dtype), None, None),
        tolerance_for((values * scale).to(dtype), None, None),
    )
    assert scaled.atol == pytest.approx(unit.atol * scale, rel=0.05)
    assert scaled.rtol == unit.rtol == RELATIVE_TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_near_zero_two_roundings_of_one_number_are_equal(dtype):
    limits = torch.finfo(dtype)
    smallest = limits.smallest_normal * limits.eps
    values = torch.tensor([0.0, smallest], dtype=torch.float64)
    values = (values.float() if dtype.itemsize == 1 else values).to(dtype)
    applied = tolerance_for(values, None, None)
    assert smallest <= applied.atol == smallest_difference(dtype)


def test_what_is_asked_wins():
    values = torch.ones(4)
    assert tolerance_for(values, 0.5, 0.25) == AppliedTolerance(0.5, 0.25)
    assert tolerance_for(values, 0.0, None) == AppliedTolerance(0.0, 1e-4)
    assert tolerance_for(values, None, 0.0) == AppliedTolerance(pytest.approx(1e-4), 0.0)
    asked = AskedTolerance.of(Tolerance(atol=0.5, required_matched_ratio=0.9))
    assert not asked.is_open
    assert asked.applied_to(values) == AppliedTolerance(0.5, 1e-4)
    assert AskedTolerance().is_open


def test_integers_are_exact():
    assert tolerance_for(torch.arange(3), None, 0.5) == AppliedTolerance(0.0, 0.0)
    assert tolerance_for(torch.arange(3), 2.0, 0.5) == AppliedTolerance(2.0, 0.0)


def test_special_values_have_no_scale():
    values = torch.tensor([3.0, -4.0, math.nan, math.inf])
    assert root_mean_square(values) == pytest.approx(math.sqrt(12.5))
    assert root_mean_square(torch.tensor([math.nan])) == 0
    assert root_mean_square(torch.empty(0)) == 0


def test_the_scale_of_a_large_tensor_is_found_in_pieces(monkeypatch):
    values = torch.randn(1000, dtype=torch.float64)
    monkeypatch.setitem(tolerance.CHUNK_ELEMENTS, "cpu", 64)
    assert root_mean_square(values) == pytest.approx(float(values.square().mean().sqrt()), rel=1e-12)


def test_complex_numbers_are_bounded_as_their_parts():
    assert tolerance_for(torch.ones(3, dtype=torch.complex64), None, None).rtol == 1e-4
