"""What an output should be, and how far from it a candidate may be."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from kbd.daemon.judge.compare import Comparison
from kbd.daemon.judge.tolerance import AppliedTolerance


@dataclass(frozen=True)
class ExpectedOutput:
    """One output of one trial, in the judge's own memory."""

    name: str
    tensor: torch.Tensor
    tolerance: AppliedTolerance
    required_matched_ratio: float

    def accepts(self, comparison: Comparison) -> bool:
        """Whether a comparison with it is good enough."""
        return comparison.passes(self.required_matched_ratio)

    @property
    def yardstick(self) -> Yardstick:
        """How outputs of other launches are to be compared."""
        return Yardstick(self.name, self.tolerance, self.required_matched_ratio)


@dataclass(frozen=True)
class Yardstick:
    """How an output is compared with what the reference itself returned, instead of the oracle.

    Candidate and reference may each be off by the tolerance, in opposite directions.
    """

    name: str
    tolerance: AppliedTolerance
    required_matched_ratio: float

    @property
    def between_kernels(self) -> AppliedTolerance:
        """Twice the tolerance."""
        return AppliedTolerance(2 * self.tolerance.atol, 2 * self.tolerance.rtol)
