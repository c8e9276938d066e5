"""Time per launch by the judge's own clock.

A burst is many launches between the judge's question and the runner's answer. Two burst lengths are timed back
to back; the slope between them is the time of one launch, because whatever a burst costs by itself (frames,
wake-ups, graph start) is in both and cancels. Bursts of reference and candidate alternate (A B, B A, …), so
that drift of clocks and temperature falls on both alike. What the runner claims stands beside and decides
nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from kbd.daemon.judge.hosted_kernel import HostedKernel
from kbd.daemon.judge.runner_link import RunnerForged
from kbd.daemon.judge.statistics import ratio_half_width, relative_half_width, slope

Method = Literal["graph", "eager"]

# Long enough for one launch to stand out from the noise of two wake-ups, short enough to be done often.
BURST_US = {"graph": (250.0, 1_250.0), "eager": (100.0, 500.0)}
MAX_LAUNCHES = 2_000
PROBE_LENGTHS = (0, 1, 64)
PROBE_REPEATS = 3
WIDE_LAUNCH_US = 10_000.0
SLOW_LAUNCH_US = 1_000.0
SHORTEST_LAUNCH_US = 0.2
SMALLEST_SAMPLE_US = 1e-3
CHECK_EVERY = 10
FIRST_CHECK = 20
TARGET_HALF_WIDTH = 0.005


@dataclass
class Series:
    """Microseconds per launch of one kernel: measured by the judge, and as claimed by its runner."""

    measured_us: list[float] = field(default_factory=list)
    claimed_us: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class TimedKernels:
    """One way of timing, for the candidate and (in a comparison) the reference."""

    method: Method
    reason: str | None
    candidate: Series
    reference: Series | None
    stop: str


def time_kernels(
    candidate: HostedKernel,
    reference: HostedKernel | None,
    *,
    sets: int,
    method: Method,
    max_samples: int,
    budget_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> TimedKernels:
    """Alternate bursts of both kernels until the noise is small enough, the samples are enough or time is up.

    Both are timed by the same method: where one cannot be captured, both fall back to the eager loop.
    Raises RunnerTrouble.
    """
    kernels = [kernel for kernel in (candidate, reference) if kernel is not None]
    reason = None
    try:
        timers = [_calibrated(kernel, sets, method) for kernel in kernels]
    except _CannotCapture as error:
        method, reason = "eager", str(error)
        timers = [_calibrated(kernel, sets, method) for kernel in kernels]
    series = [Series() for _ in kernels]
    deadline = clock() + budget_s
    stop = f"{max_samples} samples"
    for sample in range(max_samples):
        order = range(len(timers)) if sample % 2 == 0 else reversed(range(len(timers)))
        for place in order:
            timers[place].sample(series[place])
        if verdict := _stop(series, sample + 1):
            stop = verdict
            break
        if clock() >= deadline and sample + 1 >= 2:
            stop = f"time budget of {budget_s:g} s"
            break
    return TimedKernels(method, reason, series[0], series[1] if reference else None, stop)


class _CannotCapture(Exception):
    """A kernel fell back to a weaker method, so both have to."""


def _prepare(kernel: HostedKernel, sets: int, lengths: Sequence[int], method: Method) -> None:
    prepared = kernel.prepare(sets, lengths, method)
    if prepared.method == method:
        return
    if method == "eager":
        raise RunnerForged(kernel.role, f"asked for a plain loop, it prepared {prepared.method}")
    raise _CannotCapture(f"the {kernel.role} cannot be captured: {prepared.reason}")


@dataclass(frozen=True)
class _Timer:
    """A kernel with two burst lengths prepared: index 0 the short one, index 1 the long one."""

    kernel: HostedKernel
    lengths: tuple[int, int]

    def sample(self, series: Series) -> None:
        bursts = [self.kernel.burst(index) for index in (0, 1)]
        for column, kept in enumerate((series.measured_us, series.claimed_us)):
            short, long = (burst[column] for burst in bursts)
            kept.append(max(slope(short, long, *self.lengths), SMALLEST_SAMPLE_US))


def _calibrated(kernel: HostedKernel, sets: int, method: Method) -> _Timer:
    """Choose burst lengths that make one launch's time stand out from the clock's noise."""
    _prepare(kernel, sets, PROBE_LENGTHS, method)
    lengths = burst_lengths(_rough_launch_us(kernel), *BURST_US[method])
    _prepare(kernel, sets, lengths, method)
    for index in (0, 1):
        kernel.burst(index)
    return _Timer(kernel, lengths)


def _rough_launch_us(kernel: HostedKernel) -> float:
    """Time of one launch, good enough to choose lengths by; slow kernels are not run often for it."""
    empty = min(kernel.burst(0)[0] for _ in range(PROBE_REPEATS))
    once = kernel.burst(1)[0] - empty
    if once >= SLOW_LAUNCH_US:
        return once
    several = min(kernel.burst(2)[0] for _ in range(PROBE_REPEATS))
    return max((several - empty) / PROBE_LENGTHS[2], SHORTEST_LAUNCH_US)


def burst_lengths(launch_us: float, short_us: float, long_us: float) -> tuple[int, int]:
    """Launches in a burst of about `short_us` and one of about `long_us`, for a kernel of this time per launch."""
    if launch_us >= WIDE_LAUNCH_US:
        return 0, 1
    long = min(max(math.ceil(long_us / launch_us), 2), MAX_LAUNCHES)
    short = min(math.floor(short_us / launch_us), long // 4)
    return short, long


def _stop(series: Sequence[Series], samples: int) -> str | None:
    if samples < FIRST_CHECK or samples % CHECK_EVERY:
        return None
    if len(series) == 2:
        noise = ratio_half_width(series[1].measured_us, series[0].measured_us)
    else:
        noise = relative_half_width(series[0].measured_us)
    if noise > TARGET_HALF_WIDTH:
        return None
    return f"noise {noise:.2%} <= {TARGET_HALF_WIDTH:.1%}"
