"""Whether what a kernel returned is what it should have returned.

An element matches when |found - expected| <= atol + rtol * |expected|. Unless the job gives them, rtol follows
from the dtype and atol from rtol and the scale of the expected output (its root mean square), so that an
output whose values are all around 1e-6 cannot be passed by zeros. Integers and booleans match exactly unless
the job gives an atol; a NaN or an infinity matches only the same in the same place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

RELATIVE_TOLERANCE = {
    torch.float64: 1e-7,
    torch.float32: 1e-4,
    torch.float16: 1e-2,
    torch.bfloat16: 2e-2,
    torch.float8_e4m3fn: 0.125,
    torch.float8_e5m2: 0.25,
}


@dataclass(frozen=True)
class AppliedTolerance:
    """The tolerance that was really used."""

    atol: float
    rtol: float


@dataclass(frozen=True)
class Comparison:
    """How one output fared. `worst` is the index of the element farthest outside its tolerance."""

    matched_ratio: float
    max_abs_error: float | None
    max_rel_error: float | None
    tolerance: AppliedTolerance
    finite_as_expected: bool
    mismatched: int = 0
    elements: int = 0
    worst: tuple[int, ...] | None = None
    expected: float | None = None
    found: float | None = None


def tolerance_for(expected: torch.Tensor, atol: float | None, rtol: float | None) -> AppliedTolerance:
    """What the job asks for, and by dtype and scale where it does not ask."""
    if expected.dtype not in RELATIVE_TOLERANCE:
        return AppliedTolerance(
            atol or 0.0, 0.0
        )  # a relative tolerance makes no sense for counts and indices
    relative = RELATIVE_TOLERANCE[expected.dtype] if rtol is None else rtol
    if atol is not None:
        return AppliedTolerance(atol, relative)
    return AppliedTolerance(RELATIVE_TOLERANCE[expected.dtype] * root_mean_square(expected), relative)


def root_mean_square(tensor: torch.Tensor) -> float:
    """Over the finite elements; 0 when there are none."""
    wide = widen(tensor)
    wide = wide[torch.isfinite(wide)]
    return float(wide.square().mean().sqrt()) if wide.numel() else 0.0


def widen(tensor: torch.Tensor) -> torch.Tensor:
    """As float64, by way of float32 for the formats that torch converts no other way."""
    if tensor.dtype.is_floating_point and tensor.dtype.itemsize == 1:
        tensor = tensor.float()
    return tensor.double()


def compare(expected: torch.Tensor, found: torch.Tensor, tolerance: AppliedTolerance) -> Comparison:
    """Compare two tensors of equal shape, dtype and device, element by element."""
    if expected.numel() == 0:
        return Comparison(1.0, 0.0, 0.0, tolerance, finite_as_expected=True)
    if not expected.dtype.is_floating_point:
        return _compare_exactly(expected, found, tolerance)
    wide_expected, wide_found = widen(expected), widen(found)
    both_finite = torch.isfinite(wide_expected) & torch.isfinite(wide_found)
    same_special = (wide_expected == wide_found) | (wide_expected.isnan() & wide_found.isnan())
    error = (wide_found - wide_expected).abs()
    allowed = tolerance.atol + tolerance.rtol * wide_expected.abs()
    matches = torch.where(both_finite, error <= allowed, same_special)
    excess = torch.where(both_finite, error - allowed, torch.where(same_special, -torch.inf, torch.inf))
    finite_error = error[both_finite]
    relative = finite_error / wide_expected[both_finite].abs().clamp_min(torch.finfo(torch.float64).tiny)
    return _report(
        matches,
        excess,
        wide_expected,
        wide_found,
        tolerance,
        max_abs_error=float(finite_error.max()) if finite_error.numel() else None,
        max_rel_error=float(relative.max()) if relative.numel() else None,
        finite_as_expected=bool((torch.isfinite(wide_found) | ~torch.isfinite(wide_expected)).all()),
    )


def _compare_exactly(expected: torch.Tensor, found: torch.Tensor, tolerance: AppliedTolerance) -> Comparison:
    """Integers are compared as integers first: float64 cannot tell all 64-bit integers apart."""
    error = (widen(found) - widen(expected)).abs()
    matches = (expected == found) | ((error > 0) & (error <= tolerance.atol))
    return _report(
        matches,
        torch.where(matches, -torch.inf, error),
        widen(expected),
        widen(found),
        tolerance,
        max_abs_error=float(error.max()),
        max_rel_error=None,
        finite_as_expected=True,
    )


def _report(
    matches: torch.Tensor,
    excess: torch.Tensor,
    expected: torch.Tensor,
    found: torch.Tensor,
    tolerance: AppliedTolerance,
    *,
    max_abs_error: float | None,
    max_rel_error: float | None,
    finite_as_expected: bool,
) -> Comparison:
    elements = matches.numel()
    mismatched = elements - int(matches.sum())
    if mismatched == 0:
        return Comparison(1.0, max_abs_error, max_rel_error, tolerance, finite_as_expected, 0, elements)
    flat = int(excess.argmax())
    worst = tuple(int(place) for place in np.unravel_index(flat, expected.shape))
    return Comparison(
        (elements - mismatched) / elements,
        max_abs_error,
        max_rel_error,
        tolerance,
        finite_as_expected,
        mismatched,
        elements,
        worst=worst,
        expected=float(expected[worst]),
        found=float(found[worst]),
    )
