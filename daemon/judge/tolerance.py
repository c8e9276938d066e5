"""How far an output may be from what is expected: |found - expected| <= atol + rtol * |expected|.

Unless the job gives them, rtol follows from the dtype and atol from rtol and the scale of the expected output
(its root mean square), so that an output whose values are all around 1e-6 cannot be passed by zeros. An atol is
never less than what the dtype itself cannot tell apart near zero: two roundings of one number may differ by the
smallest number that there is. Integers and booleans match exactly unless the job gives an atol.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from kbd.inbox.tolerance import Tolerance

RELATIVE_TOLERANCE = {
    torch.float64: 1e-7,
    torch.float32: 1e-4,
    torch.float16: 1e-2,
    torch.bfloat16: 2e-2,
    torch.float8_e4m3fn: 0.125,
    torch.float8_e5m2: 0.25,
}
# Devices may flush what is smaller than this to zero; they do not in the formats that are missing here.
FLUSHED = frozenset({torch.float64, torch.float32, torch.bfloat16})
# On the CPU what fits a cache: larger temporaries fault in new pages with every operation.
CHUNK_ELEMENTS = {"cpu": 1 << 15, "cuda": 1 << 24}


@dataclass(frozen=True)
class AppliedTolerance:
    """The tolerance that was really used."""

    atol: float
    rtol: float

    def times(self, factor: float) -> AppliedTolerance:
        """Both bounds multiplied."""
        return AppliedTolerance(self.atol * factor, self.rtol * factor)


@dataclass(frozen=True)
class AskedTolerance:
    """What a job says about one output; None where the judge is to choose."""

    atol: float | None = None
    rtol: float | None = None
    required_matched_ratio: float = 1.0

    @classmethod
    def of(cls, tolerance: Tolerance) -> AskedTolerance:
        """As a manifest says it."""
        return cls(tolerance.atol, tolerance.rtol, tolerance.required_matched_ratio)

    @property
    def is_open(self) -> bool:
        """Whether the judge chooses the bounds."""
        return self.atol is None and self.rtol is None

    def applied_to(self, expected: torch.Tensor) -> AppliedTolerance:
        """The bounds for this expected output."""
        return tolerance_for(expected, self.atol, self.rtol)


def tolerance_for(expected: torch.Tensor, atol: float | None, rtol: float | None) -> AppliedTolerance:
    """What the job asks for, and by dtype and scale where it does not ask."""
    expected = as_real(expected)
    dtype = expected.dtype
    if dtype not in RELATIVE_TOLERANCE:
        # A relative tolerance makes no sense for counts and indices.
        return AppliedTolerance(atol or 0.0, 0.0)
    relative = RELATIVE_TOLERANCE[dtype] if rtol is None else rtol
    if atol is None:
        atol = max(RELATIVE_TOLERANCE[dtype] * root_mean_square(expected), smallest_difference(dtype))
    return AppliedTolerance(atol, relative)


def smallest_difference(dtype: torch.dtype) -> float:
    """What two correct roundings of a number near zero may differ by."""
    limits = torch.finfo(dtype)
    return limits.smallest_normal if dtype in FLUSHED else limits.smallest_normal * limits.eps


def root_mean_square(tensor: torch.Tensor) -> float:
    """Over the finite elements; 0 when there are none. One look at the device, whatever the size."""
    if tensor.numel() == 0:
        return 0.0
    total, count = torch.stack([_squares(piece) for piece in pieces(tensor)]).sum(dim=0).tolist()
    return float((total / count) ** 0.5) if count else 0.0


def _squares(piece: torch.Tensor) -> torch.Tensor:
    wide = widen(piece)
    if wide.is_cpu and math.isfinite(total := float(wide.square().sum())):
        return wide.new_tensor([total, wide.numel()])
    finite = torch.isfinite(wide)
    return torch.stack([wide.square().masked_fill_(~finite, 0.0).sum(), finite.sum().double()])


def as_real(tensor: torch.Tensor) -> torch.Tensor:
    """A complex tensor as pairs of real numbers, in one more dimension; others as they are."""
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def widen(tensor: torch.Tensor) -> torch.Tensor:
    """As float64, by way of float32 for the formats that torch converts no other way."""
    if tensor.dtype.is_floating_point and tensor.dtype.itemsize == 1:
        tensor = tensor.float()
    return tensor.double()


def pieces(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The elements in row-major order, in pieces small enough to be widened without exhausting the device."""
    return torch.split(tensor.reshape(-1), CHUNK_ELEMENTS[tensor.device.type])
