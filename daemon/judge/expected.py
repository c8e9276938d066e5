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
