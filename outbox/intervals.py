"""Ratios with their 95 % intervals, from the figures of results alone: no samples are drawn, nothing is imported.

Everything is reckoned in logarithms, because the ratio of A to B must be the reciprocal of that of B to A.
Half-widths of independent ratios add in quadrature.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

NORMAL_QUANTILE: Final = 1.959964  # two-sided 95 %
STUDENT_QUANTILES: Final = (
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860),
    *(2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518),
)
"""Of Student's t distribution, two-sided 95 %, for 1, 2, … degrees of freedom."""
MOST_PAIRS: Final = 20

PROCESS_BIAS: Final = {"cuda": 0.02, "cpu": 0.1}
"""By how much one kernel in two processes differs, beyond noise: benchmarks/same_kernel.py measures it."""


@dataclass(frozen=True, slots=True)
class Scatter:
    """What is known of how logarithms of ratios scatter, and how many degrees of freedom that is worth."""

    deviation: float
    degrees: int


PROCESS_SCATTER: Final = {"cuda": Scatter(0.0085, 8)}
"""Of one kernel to itself in one pair of processes: 0.0073 and 0.0104 over 100 pairs each, on two H200.

Alone it would widen an interval by 2.306 x 0.0085, which is PROCESS_BIAS. A CPU scatters differently in every
host and hour, so there nothing is known beforehand.
"""

PAIRED_BIAS: Final = {"cuda": 0.003, "cpu": 0.03}
"""What several pairs of processes have in common, so that their scatter does not show it.

That is the device, and on the CPU the daemon: its processes are forked from one, so that memory lies alike in all
candidates and alike in all references.
"""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio, and the interval in which it lies with 95 % confidence; None: nothing is known of it."""

    value: float
    interval: tuple[float, float] | None = None

    @property
    def significant(self) -> bool | None:
        """Whether the interval excludes 1; None where there is none."""
        if self.interval is None:
            return None
        low, high = self.interval
        return not low <= 1 <= high

    @property
    def half_width(self) -> float | None:
        """Half the interval's logarithm."""
        if self.interval is None:
            return None
        low, high = self.interval
        return (math.log(high) - math.log(low)) / 2

    @classmethod
    def around(cls, logarithm: float, half_width: float | None) -> Self:
        """From its logarithm, and half that of its interval."""
        if half_width is None:
            return cls(math.exp(logarithm))
        return cls(math.exp(logarithm), (math.exp(logarithm - half_width), math.exp(logarithm + half_width)))


def geometric_mean(ratios: Sequence[Ratio]) -> Ratio:
    """Of at least one ratio; without an interval where any has none."""
    centre = sum(math.log(ratio.value) for ratio in ratios) / len(ratios)
    half = _quadrature([ratio.half_width for ratio in ratios])
    return Ratio.around(centre, None if half is None else half / len(ratios))


def ratio_of_pairs(values: Sequence[float], bias: float, known: Scatter | None = None) -> Ratio:
    """From the ratios that several pairs of processes gave, at least 2 and at most MOST_PAIRS.

    Their scatter holds all that differs between processes and within them, so the interval is Student's over
    the pairs (Kalibera and Jones, "Rigorous benchmarking in reasonable time", ISMM 2013), and `bias` wider.
    A few pairs tell little of how they scatter, and what is `known` of other jobs helps: the variance is the mean
    of both, each with the weight of its degrees of freedom, and has the degrees of both (the moderated t of
    Smyth, "Linear models and empirical Bayes methods for assessing differential expression in microarray
    experiments", Statistical Applications in Genetics and Molecular Biology 3(1), 2004).
    """
    logs = [math.log(value) for value in values]
    degrees, squares = len(logs) - 1, (len(logs) - 1) * statistics.variance(logs)
    if known is not None:
        degrees, squares = degrees + known.degrees, squares + known.degrees * known.deviation**2
    error = math.sqrt(squares / degrees / len(logs))
    return Ratio.around(statistics.fmean(logs), STUDENT_QUANTILES[degrees - 1] * error + bias)


def quotient(over: Ratio, under: Ratio) -> Ratio:
    """Of two independent ratios."""
    centre = math.log(over.value) - math.log(under.value)
    return Ratio.around(centre, _quadrature([over.half_width, under.half_width]))


def median_interval(samples: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the median, between two order statistics; None where the samples are too few.

    The sign test inverted: Conover, "Practical Nonparametric Statistics", 3rd edition, section 3.2, in the
    normal approximation of the binomial; so does the rule by which sampling ends.
    """
    reach = NORMAL_QUANTILE * math.sqrt(len(samples)) / 2
    low, high = math.floor(len(samples) / 2 - reach), math.ceil(len(samples) / 2 + reach)
    if low < 0 or high > len(samples) - 1:
        return None
    ordered = sorted(samples)
    return ordered[low], ordered[high]


def time_ratio(slower: "Times", faster: "Times", bias: float) -> Ratio:
    """How many times as long the first takes. `bias`: by how much two processes differ whatever they measure."""
    centre = math.log(slower.median) - math.log(faster.median)
    half = _quadrature([slower.half_width, faster.half_width])
    return Ratio.around(centre, None if half is None else half + bias)


@dataclass(frozen=True, slots=True)
class Times:
    """The median time of a kernel, above 0, and its interval where that is known."""

    median: float
    interval: tuple[float, float] | None = None

    @property
    def half_width(self) -> float | None:
        """Half the interval's logarithm; None also where noise reaches 0, of which no ratio can be made."""
        if self.interval is None or self.interval[0] <= 0:
            return None
        return (math.log(self.interval[1]) - math.log(self.interval[0])) / 2


def _quadrature(halves: Sequence[float | None]) -> float | None:
    known = [half for half in halves if half is not None]
    return math.sqrt(sum(half * half for half in known)) if len(known) == len(halves) else None
