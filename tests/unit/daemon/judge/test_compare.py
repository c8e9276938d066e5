"""What counts as equal, and what does not."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.judge import tolerance
from kbd.daemon.judge.compare import agrees, compare, surely_fails
from kbd.daemon.judge.tolerance import AppliedTolerance, tolerance_for

FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]


def judged(expected, found, atol=None, rtol=None):
    return compare(expected, found, tolerance_for(expected, atol, rtol))


@pytest.mark.parametrize("dtype", FLOATS)
def test_equal_tensors_match_in_every_float_dtype(dtype):
    values = torch.linspace(-2, 2, 50).to(dtype)
    assert judged(values, values.clone()).matched_ratio == 1.0


@pytest.mark.parametrize("dtype", FLOATS)
def test_zeros_never_pass_for_small_values(dtype):
    expected = torch.full((100,), 1e-2).to(dtype)
    assert judged(expected, torch.zeros_like(expected)).matched_ratio == 0.0


def test_zeros_do_not_pass_for_a_wide_softmax():
    expected = torch.softmax(torch.randn(4, 100_000), -1)
    assert judged(expected, torch.zeros_like(expected)).matched_ratio < 0.5


def test_explicit_tolerance_wins():
    expected, found = torch.zeros(3), torch.tensor([0.0, 0.009, 0.011])
    report = judged(expected, found, atol=1e-2, rtol=0.0)
    assert report.tolerance == AppliedTolerance(1e-2, 0.0)
    assert report.matched_ratio == pytest.approx(2 / 3)
    assert report.worst == (2,)


def test_one_wrong_element_is_found_and_named():
    expected = torch.randn(7, 11, 13, dtype=torch.float64)
    found = expected.clone()
    found[3, 5, 9] += 1
    report = judged(expected, found)
    assert report.worst == (3, 5, 9)
    assert report.found - report.expected == pytest.approx(1)
    assert report.max_abs_error == pytest.approx(1)


@pytest.mark.parametrize("special", [math.nan, math.inf, -math.inf])
def test_special_values_match_only_themselves_in_place(special):
    expected = torch.tensor([1.0, special, 3.0])
    assert judged(expected, expected.clone()).matched_ratio == 1.0
    assert judged(expected, torch.tensor([special, 1.0, 3.0])).matched_ratio < 1
    assert judged(expected, torch.tensor([1.0, 2.0, 3.0])).matched_ratio < 1


def test_nan_where_a_number_is_expected_is_told_apart():
    report = judged(torch.ones(3), torch.tensor([1.0, math.nan, 1.0]))
    assert not report.finite_as_expected
    assert report.worst == (1,)
    assert judged(torch.ones(3), torch.full((3,), 2.0)).finite_as_expected


def test_large_integers_are_compared_exactly():
    expected = torch.tensor([2**62, 2**62 + 1])
    found = torch.tensor([2**62, 2**62])
    assert judged(expected, found).matched_ratio == 0.5
    assert judged(expected, found, rtol=0.5).matched_ratio == 0.5


def test_integers_within_an_explicit_absolute_tolerance():
    assert judged(torch.tensor([10]), torch.tensor([11]), atol=1.0).matched_ratio == 1.0
    assert judged(torch.tensor([10]), torch.tensor([12]), atol=1.0).matched_ratio == 0.0


def test_booleans():
    assert judged(torch.tensor([True, False]), torch.tensor([True, True])).matched_ratio == 0.5


def test_empty_tensors_match():
    assert judged(torch.empty(0, 3), torch.empty(0, 3)).matched_ratio == 1.0


@given(st.integers(1, 2**31), st.integers(0, 63))
def test_any_single_flipped_bit_of_an_integer_tensor_is_seen(seed, bit):
    expected = torch.randint(-(2**62), 2**62, (64,), generator=torch.Generator().manual_seed(seed))
    found = expected.clone()
    found[17] ^= (1 << bit) if bit < 63 else -(2**63)
    assert judged(expected, found).matched_ratio < 1.0


ELEMENTS = st.one_of(
    st.floats(-10, 10, width=32), st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0])
)
PAIRS = st.lists(st.tuples(ELEMENTS, ELEMENTS | st.none()), min_size=1, max_size=40)


def matches_by_the_book(want, have, atol, rtol):
    if math.isfinite(want) and math.isfinite(have):
        return abs(have - want) <= atol + rtol * abs(want)
    return want == have or (math.isnan(want) and math.isnan(have))


@given(PAIRS, st.floats(0, 2), st.floats(0, 1), st.integers(1, 7))
def test_the_comparison_is_what_the_formula_says_whatever_the_pieces(pairs, atol, rtol, chunk):
    wanted = [want for want, _ in pairs]
    given_back = [want if have is None else have for want, have in pairs]
    expected, found = (torch.tensor(side, dtype=torch.float64) for side in (wanted, given_back))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tolerance.CHUNK_ELEMENTS, "cpu", chunk)
        report = compare(expected, found, AppliedTolerance(atol, rtol))
    matches = [
        matches_by_the_book(want, have, atol, rtol) for want, have in zip(wanted, given_back, strict=True)
    ]
    assert report.mismatched == matches.count(False)
    assert report.matched_ratio == matches.count(True) / len(matches)
    assert (report.worst is None) == all(matches)
    if report.worst is not None:
        assert not matches[report.worst[0]]
        assert math.isnan(report.expected) or report.expected == wanted[report.worst[0]]
    assert report.finite_as_expected == all(
        math.isfinite(have) or not math.isfinite(want) for want, have in zip(wanted, given_back, strict=True)
    )


@given(
    PAIRS, st.floats(0, 2), st.floats(0, 1), st.sampled_from([torch.float64, torch.float32, torch.float16])
)
def test_a_quick_look_never_passes_what_does_not_match(pairs, atol, rtol, dtype):
    expected = torch.tensor([want for want, _ in pairs]).to(dtype)
    found = torch.tensor([want if have is None else have for want, have in pairs]).to(dtype)
    allowed = AppliedTolerance(atol, rtol)
    if agrees(expected, found, allowed):
        assert compare(expected, found, allowed).matched_ratio == 1.0


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_quick_look_knows_what_is_well_within(dtype):
    expected = torch.linspace(-4, 4, 100_000).to(dtype)
    assert agrees(expected, expected.clone(), AppliedTolerance(0.0, 0.0))
    found = (expected.double() * 1.2).to(dtype)
    assert agrees(expected, found, AppliedTolerance(0.0, 0.5))
    assert not agrees(expected, found, AppliedTolerance(0.0, 0.1))
    found[77_777] = math.nan
    assert not agrees(expected, found, AppliedTolerance(0.0, 0.5))


@pytest.mark.parametrize("dtype", [*FLOATS, torch.int32, torch.bool, torch.complex64])
@pytest.mark.parametrize("special", [1.0, math.nan, math.inf])
def test_equal_bits_are_reported_like_equal_values(dtype, special):
    values = torch.tensor([0, 1, 2, special if dtype.is_floating_point else 1]).to(dtype)
    allowed = AppliedTolerance(1e-3, 1e-3)
    quickly = compare(values, values.clone(), allowed)
    scattered = values.repeat_interleave(2)[::2]  # its bytes are not looked at as a whole
    assert repr(quickly) == repr(compare(scattered, values.clone(), allowed))


@given(
    PAIRS,
    st.sampled_from([torch.float64, torch.float32, torch.float16]),
    st.sampled_from([0, 1e-3, 0.1]),
    st.sampled_from([0, 1e-3, 0.1]),
    st.sampled_from([0.5, 0.9, 1.0]),
)
def test_what_surely_fails_does_not_pass(pairs, dtype, atol, rtol, required):
    expected = torch.tensor([want for want, _ in pairs]).to(dtype)
    found = torch.tensor([want if have is None else have for want, have in pairs]).to(dtype)
    allowed = AppliedTolerance(atol, rtol)
    if surely_fails(expected, found, allowed, required):
        assert not compare(expected, found, allowed).passes(required)


def test_a_look_at_the_first_elements_knows_what_is_far_off():
    expected = torch.linspace(1, 2, 100_000)
    allowed = AppliedTolerance(1e-4, 1e-4)
    assert surely_fails(expected, torch.zeros_like(expected), allowed, 1.0)
    assert not surely_fails(expected, expected.clone(), allowed, 1.0)
    assert not surely_fails(expected, torch.zeros_like(expected), allowed, 0.9), "the rest may be right"


def test_a_quick_look_at_integers():
    expected = torch.arange(9)
    assert agrees(expected, expected.clone(), AppliedTolerance(0.0, 0.0))
    assert not agrees(expected, expected + 1, AppliedTolerance(0.0, 0.0))


@given(PAIRS)
def test_a_looser_tolerance_never_matches_less(pairs):
    expected = torch.tensor([want for want, _ in pairs], dtype=torch.float32)
    found = torch.tensor([want if have is None else have for want, have in pairs], dtype=torch.float32)
    ratios = [
        compare(expected, found, AppliedTolerance(bound, bound)).matched_ratio for bound in (0, 1e-3, 0.1, 5)
    ]
    assert ratios == sorted(ratios)


def test_complex_numbers():
    expected = torch.tensor([1 + 2j, 3 - 4j], dtype=torch.complex64)
    assert judged(expected, expected.clone()).matched_ratio == 1.0
    report = judged(expected, expected.conj())
    assert report.mismatched == 2
    assert report.worst == (1, 1)
