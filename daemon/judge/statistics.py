"""Statistics of timings, as pure functions of their samples.

Ratios are worked on as logarithms, because the speed-up of A over B must be the reciprocal of that of B over
A. Intervals are percentile bootstrap intervals (Efron, "Bootstrap methods: another look at the jackknife",
Annals of Statistics 7, 1979), which ask nothing of the noise's shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2_000
CONFIDENCE = 0.95
NORMAL_QUANTILE = 1.959964  # two-sided 95 %
# The interval must not depend on anything that a kernel can influence, nor differ between two readings.
BOOTSTRAP_SEED = 0x6B6264


@dataclass(frozen=True)
class Summary:
    """Figures of one series of samples, in the samples' own unit."""

    median: float
    mean: float
    std: float
    min: float
    max: float
    p95: float
    p99: float
    samples: int


def summarize(samples: Sequence[float]) -> Summary:
    """Order statistics and moments; `std` is the sample standard deviation (0 for a single sample)."""
    values = np.asarray(samples, dtype=np.float64)
    if values.size == 0:
        raise ValueError("no samples to summarize")
    p95, p99 = np.percentile(values, (95, 99))
    return Summary(
        median=float(np.median(values)),
        mean=float(values.mean()),
        std=float(values.std(ddof=1)) if values.size > 1 else 0.0,
        min=float(values.min()),
        max=float(values.max()),
        p95=float(p95),
        p99=float(p99),
        samples=int(values.size),
    )


def slope(short: float, long: float, short_length: int, long_length: int) -> float:
    """Time per launch from two bursts of different length: what a burst costs by itself cancels."""
    if long_length <= short_length:
        raise ValueError(f"the long burst ({long_length}) must be longer than the short one ({short_length})")
    return (long - short) / (long_length - short_length)


@dataclass(frozen=True)
class SpeedUp:
    """How many times faster the candidate is than the reference, with its 95 % interval."""

    ratio: float
    low: float
    high: float

    @property
    def significant(self) -> bool:
        """Whether the interval excludes 1, that is: whether there is a difference at all."""
        return not self.low <= 1.0 <= self.high

    @property
    def half_width(self) -> float:
        """Half the interval, relative to the ratio."""
        return (self.high - self.low) / 2 / self.ratio


def _bootstrap_medians(values: NDArray[np.float64]) -> NDArray[np.float64]:
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    picks = generator.integers(0, values.size, size=(RESAMPLES, values.size))
    return np.median(values[picks], axis=1)


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(_bootstrap_medians(values), (tail, 1 - tail))
    return float(low), float(high)


def speed_up(reference: Sequence[float], candidate: Sequence[float], *, bias: float = 0.0) -> SpeedUp:
    """Median of the paired log-ratios and its bootstrap interval; sample i of both was taken back to back.

    `bias`: by how much (relative) two processes that run the same kernel differ for as long as they live. No
    number of samples from this pair of processes shows it, so the interval is widened by it on either side.
    """
    if len(reference) != len(candidate):
        raise ValueError(f"{len(reference)} samples of the reference, {len(candidate)} of the candidate")
    ratios = np.log(np.asarray(reference, dtype=np.float64)) - np.log(np.asarray(candidate, dtype=np.float64))
    low, high = _interval(ratios)
    return SpeedUp(math.exp(float(np.median(ratios))), math.exp(low - bias), math.exp(high + bias))


def relative_half_width(samples: Sequence[float] | NDArray[np.float64]) -> float:
    """Half the interval of the median, relative to the median; cheap enough to be asked between samples.

    The interval lies between two order statistics (the sign test inverted: Conover, "Practical Nonparametric
    Statistics", 3rd edition, section 3.2), in the normal approximation of the binomial.
    """
    values = np.sort(np.asarray(samples, dtype=np.float64))
    reach = NORMAL_QUANTILE * math.sqrt(values.size) / 2
    low = max(math.floor(values.size / 2 - reach), 0)
    high = min(math.ceil(values.size / 2 + reach), values.size - 1)
    return float(values[high] - values[low]) / 2 / float(np.median(values))


def ratio_half_width(reference: Sequence[float], candidate: Sequence[float]) -> float:
    """The same for the paired ratio of two series."""
    return relative_half_width(
        np.asarray(reference, dtype=np.float64) / np.asarray(candidate, dtype=np.float64)
    )
