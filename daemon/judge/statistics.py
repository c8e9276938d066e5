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
FEWEST_PAIRS = 2
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
        """Whether there is an interval and it excludes 1, that is: whether there is a difference at all."""
        return self.bounded and not self.low <= 1.0 <= self.high

    @property
    def half_width(self) -> float:
        """Half the interval, relative to the ratio."""
        return (self.high - self.low) / 2 / self.ratio

    @property
    def bounded(self) -> bool:
        """Whether anything is known of the interval: it reaches from 0 to infinity where there is one sample."""
        return self.low > 0 and math.isfinite(self.high)


def _log_ratios(reference: Sequence[float], candidate: Sequence[float]) -> NDArray[np.float64]:
    """Logarithms of the paired ratios; infinite where one side is not positive, left out where neither is.

    A slope that noise has made negative says that the kernel is fast, not how fast: as an infinity it keeps its
    side of the median. To drop it, or to put a small number in its place, would shift the ratio.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        theirs, ours = (
            np.log(np.maximum(np.asarray(side, np.float64), 0)) for side in (reference, candidate)
        )
        ratios: NDArray[np.float64] = theirs - ours
    known: NDArray[np.float64] = ratios[~np.isnan(ratios)]
    return known


def _bootstrap_medians(values: NDArray[np.float64]) -> NDArray[np.float64]:
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    picks = generator.integers(0, values.size, size=(RESAMPLES, values.size))
    ordered = np.sort(values[picks], axis=1)  # a quarter of the time that np.median takes
    middle = values.size // 2
    with np.errstate(invalid="ignore"):  # between -inf and inf nothing is known
        medians: NDArray[np.float64] = (ordered[:, values.size - 1 - middle] + ordered[:, middle]) / 2
    return medians


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Of the median; without end where the samples are infinite there, or only one."""
    if values.size < FEWEST_PAIRS:
        return -math.inf, math.inf
    medians, tail = _bootstrap_medians(values), int((1 - CONFIDENCE) / 2 * RESAMPLES)
    low, high = (
        np.sort(np.nan_to_num(medians, nan=end, posinf=np.inf, neginf=-np.inf)) for end in (-np.inf, np.inf)
    )
    return float(low[tail]), float(high[-1 - tail])


def speed_up(reference: Sequence[float], candidate: Sequence[float], *, bias: float = 0.0) -> SpeedUp | None:
    """Median of the paired log-ratios and its bootstrap interval; sample i of both was taken back to back.

    None where noise has left nothing: too many samples are not positive.

    `bias`: by how much (relative) two processes that run the same kernel differ for as long as they live. No
    number of samples from this pair of processes shows it, so the interval is widened by it on either side.
    """
    if len(reference) != len(candidate):
        raise ValueError(f"{len(reference)} samples of the reference, {len(candidate)} of the candidate")
    ratios = _log_ratios(reference, candidate)
    with np.errstate(invalid="ignore"):
        centre = float(np.median(ratios)) if ratios.size else math.nan
    if not math.isfinite(centre):
        return None
    low, high = _interval(ratios)
    return SpeedUp(math.exp(centre), math.exp(low - bias), math.exp(high + bias))


def relative_half_width(samples: Sequence[float] | NDArray[np.float64]) -> float:
    """Half the interval of the median, relative to the median; cheap enough to be asked between samples.

    The interval lies between two order statistics (the sign test inverted: Conover, "Practical Nonparametric
    Statistics", 3rd edition, section 3.2), in the normal approximation of the binomial.
    """
    values = np.asarray(samples, dtype=np.float64)
    middle = float(np.median(values))
    return _half_width(values) / middle if middle > 0 else math.inf


def ratio_half_width(reference: Sequence[float], candidate: Sequence[float]) -> float:
    """The same for the paired ratio of two series."""
    return _half_width(_log_ratios(reference, candidate))


def _half_width(samples: NDArray[np.float64]) -> float:
    if not samples.size:
        return math.inf
    values = np.sort(samples)
    reach = NORMAL_QUANTILE * math.sqrt(values.size) / 2
    low = values[max(math.floor(values.size / 2 - reach), 0)]
    high = values[min(math.ceil(values.size / 2 + reach), values.size - 1)]
    return float(high - low) / 2 if math.isfinite(low) and math.isfinite(high) else math.inf
