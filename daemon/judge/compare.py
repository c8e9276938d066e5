"""Whether what a kernel returned is what it should have returned, element by element.

An element matches within its tolerance (kbd.daemon.judge.tolerance); a NaN or an infinity matches only the same
in the same place. Everything is computed where the tensors lie, in pieces, and looked at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from kbd.daemon.judge.bits import same_bits
from kbd.daemon.judge.tolerance import AppliedTolerance, as_real, pieces, widen

Number = int | float
NOTHING = -1.0  # a largest error where no two elements could be subtracted
TINY = torch.finfo(torch.float64).tiny
PEEK_ELEMENTS = 4096
SURELY = 0.999  # of a tolerance: what rounding to float32 cannot carry over it


@dataclass(frozen=True)
class Comparison:
    """How one output fared.

    `worst` is the index of the element farthest outside its tolerance, `largest_share` the largest error as a
    multiple of what was allowed for its element, `specials_agree` whether each NaN and infinity is in its place.
    """

    matched_ratio: float
    max_abs_error: float | None
    max_rel_error: float | None
    tolerance: AppliedTolerance
    finite_as_expected: bool
    specials_agree: bool = True
    largest_share: float = 0.0
    mismatched: int = 0
    elements: int = 0
    worst: tuple[int, ...] | None = None
    expected: Number | None = None
    found: Number | None = None

    def passes(self, required_matched_ratio: float) -> bool:
        """Whether enough elements match, and none is NaN or infinite that should not be."""
        return self.matched_ratio >= required_matched_ratio and self.finite_as_expected


@dataclass(frozen=True)
class _Measured:
    """One piece: a row of figures on the device, in the order of its fields."""

    mismatched: torch.Tensor
    max_abs: torch.Tensor
    max_rel: torch.Tensor
    strange: torch.Tensor
    misplaced: torch.Tensor
    share: torch.Tensor
    worst_excess: torch.Tensor
    worst_place: torch.Tensor

    @property
    def row(self) -> torch.Tensor:
        return torch.stack([getattr(self, name).double() for name in _FIGURES])


_FIGURES = tuple(field.name for field in fields(_Measured))


def compare(expected: torch.Tensor, found: torch.Tensor, tolerance: AppliedTolerance) -> Comparison:
    """Compare two tensors of equal shape, dtype and device."""
    expected, found = as_real(expected), as_real(found)
    if expected.numel() == 0:
        return Comparison(1.0, 0.0, 0.0, tolerance, finite_as_expected=True)
    if same_bits(expected, found) and _surely_finite(expected):
        relative = 0.0 if expected.dtype.is_floating_point else None
        elements = expected.numel()
        return Comparison(1.0, 0.0, relative, tolerance, finite_as_expected=True, elements=elements)
    measure = _floats if expected.dtype.is_floating_point else _integers
    return _reported(expected, found, tolerance, _table(measure, expected, found, tolerance))


def _table(
    measure: Callable[[torch.Tensor, torch.Tensor, AppliedTolerance], _Measured],
    expected: torch.Tensor,
    found: torch.Tensor,
    tolerance: AppliedTolerance,
) -> list[list[float]]:
    """A row for every piece, brought to the host at once."""
    rows = [measure(*pair, tolerance).row for pair in zip(pieces(expected), pieces(found), strict=True)]
    table: list[list[float]] = torch.stack(rows).tolist()
    return table


def agrees(expected: torch.Tensor, found: torch.Tensor, tolerance: AppliedTolerance) -> bool:
    """Whether every element surely matches: a quick look, about 25 times as fast as `compare` on the CPU.

    False says nothing: rounding in the tensors' own dtype, NaN and infinities are left to `compare`.
    """
    expected, found = as_real(expected), as_real(found)
    if not expected.numel() or same_bits(expected, found):
        return True
    if not expected.dtype.is_floating_point:
        return torch.equal(expected, found)
    near = AppliedTolerance(tolerance.atol * SURELY, tolerance.rtol * SURELY)
    return all(_surely_within(*pair, near) for pair in zip(pieces(expected), pieces(found), strict=True))


def _surely_finite(tensor: torch.Tensor) -> bool:
    """False says nothing: a sum may overflow."""
    return not tensor.dtype.is_floating_point or math.isfinite(float(_computable(tensor).sum()))


def _computable(tensor: torch.Tensor) -> torch.Tensor:
    """As float32 at least: torch computes in narrower formats slowly, or not at all."""
    return tensor if tensor.dtype.itemsize >= 4 else tensor.float()


def surely_fails(
    expected: torch.Tensor, found: torch.Tensor, tolerance: AppliedTolerance, required_matched_ratio: float
) -> bool:
    """Whether too many elements are surely wrong already among the first few; False says nothing."""
    expected, found = as_real(expected), as_real(found)
    if not expected.dtype.is_floating_point:
        return False
    want, have = (_computable(side.reshape(-1)[:PEEK_ELEMENTS]) for side in (expected, found))
    allowed = want.abs().mul_(tolerance.rtol).add_(tolerance.atol).div_(SURELY)
    outside = int(((have - want).abs_() > allowed).sum())
    return (expected.numel() - outside) / max(expected.numel(), 1) < required_matched_ratio


def _surely_within(expected: torch.Tensor, found: torch.Tensor, tolerance: AppliedTolerance) -> bool:
    """Where something is infinite, what is left of the error is so as well, or NaN: within nothing."""
    want, have = _computable(expected), _computable(found)
    beyond = (have - want).abs_().sub_(want.abs(), alpha=tolerance.rtol)
    return bool(beyond.amax() <= tolerance.atol)


def _floats(expected: torch.Tensor, found: torch.Tensor, tolerance: AppliedTolerance) -> _Measured:
    want, have = widen(expected), widen(found)
    if want.device.type == "cpu" and math.isfinite(float(want.sum() + have.sum())):
        return _finite_floats(want, have, tolerance)
    expected_finite = torch.isfinite(want)
    both_finite = expected_finite & torch.isfinite(have)
    same_special = (want == have) | (want.isnan() & have.isnan())
    error, size = (have - want).abs_(), want.abs()
    allowed = tolerance.atol + tolerance.rtol * size
    excess = torch.where(both_finite, error - allowed, torch.where(same_special, -math.inf, math.inf))
    error = torch.where(both_finite, error, NOTHING)
    worst_excess, worst_place = excess.max(dim=0)
    return _Measured(
        mismatched=(excess > 0).sum(),
        max_abs=error.max(),
        max_rel=torch.where(both_finite, error / size.clamp_min(TINY), NOTHING).max(),
        strange=(expected_finite & ~both_finite).any(),
        misplaced=(~both_finite & ~same_special).any(),
        share=(error / allowed.clamp_min(TINY)).max(),
        worst_excess=worst_excess,
        worst_place=worst_place,
    )


def _finite_floats(want: torch.Tensor, have: torch.Tensor, tolerance: AppliedTolerance) -> _Measured:
    """The same where there is neither NaN nor infinity, in a third of the passes over memory."""
    error, size = (have - want).abs_(), want.abs()
    allowed = tolerance.rtol * size + tolerance.atol
    excess = error - allowed
    worst_excess, worst_place = excess.max(dim=0)
    never = torch.zeros_like(worst_excess)
    return _Measured(
        mismatched=(excess > 0).sum(),
        max_abs=error.max(),
        max_rel=(error / size.clamp_min_(TINY)).max(),
        strange=never,
        misplaced=never,
        share=error.div_(allowed.clamp_min_(TINY)).max(),
        worst_excess=worst_excess,
        worst_place=worst_place,
    )


def _integers(expected: torch.Tensor, found: torch.Tensor, tolerance: AppliedTolerance) -> _Measured:
    """Integers are compared as integers first: float64 cannot tell all 64-bit integers apart."""
    differs = expected != found
    error = (widen(found) - widen(expected)).abs_()
    outside = differs & ((error == 0) | (error > tolerance.atol))
    worst_excess, worst_place = torch.where(outside, error, -math.inf).max(dim=0)
    return _Measured(
        mismatched=outside.sum(),
        max_abs=error.max(),
        max_rel=torch.full_like(error[0], NOTHING),
        strange=torch.zeros_like(error[0]),
        misplaced=torch.zeros_like(error[0]),
        share=torch.zeros_like(error[0]),
        worst_excess=worst_excess,
        worst_place=worst_place,
    )


def _reported(
    expected: torch.Tensor, found: torch.Tensor, tolerance: AppliedTolerance, table: list[list[float]]
) -> Comparison:
    columns = dict(zip(_FIGURES, zip(*table, strict=True), strict=True))
    elements, mismatched = expected.numel(), int(sum(columns["mismatched"]))
    max_abs, max_rel = max(columns["max_abs"]), max(columns["max_rel"])
    known = Comparison(
        matched_ratio=(elements - mismatched) / elements,
        max_abs_error=max_abs if max_abs >= 0 else None,
        max_rel_error=max_rel if max_rel >= 0 else None,
        tolerance=tolerance,
        finite_as_expected=not any(columns["strange"]),
        specials_agree=not any(columns["misplaced"]),
        largest_share=max(*columns["share"], 0.0),
        mismatched=mismatched,
        elements=elements,
    )
    if mismatched == 0:
        return known
    piece = max(range(len(table)), key=columns["worst_excess"].__getitem__)
    flat = piece * len(pieces(expected)[0]) + int(columns["worst_place"][piece])
    return _with_worst(known, expected, found, flat)


def _with_worst(known: Comparison, expected: torch.Tensor, found: torch.Tensor, flat: int) -> Comparison:
    worst = tuple(int(place) for place in np.unravel_index(flat, expected.shape))
    return replace(known, worst=worst, expected=_number(expected[worst]), found=_number(found[worst]))


def _number(element: torch.Tensor) -> Number:
    return float(element) if element.dtype.is_floating_point else int(element)
