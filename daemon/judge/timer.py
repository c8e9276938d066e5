"""A kernel with its bursts prepared, and one turn of it.

A *turn* is three bursts between the judge's `go` and the runner's `done`: an empty one, a short one and a long one;
the slope between the latter two is the time of one launch, because whatever a burst costs by itself (the bell,
starting a graph) is in both and cancels. The empty burst comes first and twice: on a device that several processes
share, the first of a process waits until the device has turned to it (measured on an H100: 0.1 ms, give or take as
much), and that must not fall into a burst that counts. What the runner claims stands beside and decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from kbd.daemon.judge.bench import EMPTY, LONG, SHORT, SINGLE, BurstPlan
from kbd.daemon.judge.series import SMALLEST_SAMPLE_US, Series
from kbd.daemon.judge.statistics import slope
from kbd.daemon.judge.timed_kernel import TimedKernel


@dataclass(frozen=True)
class Timer:
    """A kernel with its bursts prepared."""

    kernel: TimedKernel
    plan: BurstPlan

    def series(self) -> Series:
        """Of its samples to come."""
        launches = self.plan.short + self.plan.long
        return Series(launches=launches, scattered=self.kernel.left.scattered)

    def turn(
        self,
        series: Series,
        *,
        keep: bool,
        counts: bool,
        single: bool,
        empty_at_most_us: float = math.inf,
        at_end: Callable[[], None] | None = None,
    ) -> None:
        """One sample, if it `counts`.

        Of what an empty burst takes no more than `empty_at_most_us` is believed. `at_end` is done at once when the
        bursts are over.
        """
        keep = keep and self.kernel.keeps
        waited = self.kernel.burst(EMPTY)[0] if self.kernel.takes_turns_on_device else 0.0
        empty, empty_claimed = self.kernel.burst(EMPTY)
        series.latest_empties_us.append(empty)
        series.empties_us.append(waited + empty)
        empty = min(empty, empty_at_most_us)
        short, short_claimed = empty, empty_claimed
        if self.plan.short:
            short, short_claimed = self.kernel.burst(SHORT, keep=keep)
        long, long_claimed = self.kernel.burst(LONG, keep=keep)
        if at_end is not None:
            at_end()
        lengths = self.plan.short, self.plan.long
        together, bursts = (short + long, 2) if self.plan.short else (long, 1)
        if keep:
            series.kept_us.append(together)
        if not counts:
            return
        series.turns_us.append(together)
        series.whole_us.append(max((together - bursts * empty) / series.launches, SMALLEST_SAMPLE_US))
        launch = slope(short, long, *lengths)
        series.measured_us.append(launch)
        series.once_us.append(short - empty - self.plan.short * launch)
        series.claimed_us.append(max(slope(short_claimed, long_claimed, *lengths), SMALLEST_SAMPLE_US))
        if single:
            alone, _ = self.kernel.burst(SINGLE)
            series.single_us.append(max(alone - empty, SMALLEST_SAMPLE_US))
