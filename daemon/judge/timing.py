"""Time per launch by the judge's own clock.

Turns (kbd.daemon.judge.timer) of reference and candidate alternate (A B, B A, …), so that drift of clocks and
temperature falls on both alike.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from kbd.daemon.judge.audit import Auditor
from kbd.daemon.judge.bench import Bench
from kbd.daemon.judge.readiness import Readiness, tried_out
from kbd.daemon.judge.series import Method, Series, Spent, TimedKernels
from kbd.daemon.judge.statistics import ratio_half_width, relative_half_width
from kbd.daemon.judge.timer import Timer

CHECK_EVERY = 5
FIRST_CHECK = 20
TARGET_HALF_WIDTH = {"cuda": 0.005, "cpu": 0.01}
"""Noise at which sampling ends: well below what two processes differ by anyway (`PROCESS_BIAS`)."""
SINGLE_LAUNCHES = 8
FIRST_LOOKS: Final = 8
LOOK_SHARE: Final = 0.2
"""After how many turns it is looked what is done at rest, in secret: always at first, then now and then."""
CANDIDATE, REFERENCE = range(2)


@dataclass(frozen=True)
class Way:
    """How kernels are timed, and for how long at most."""

    method: Method
    max_samples: int
    budget_s: float


def time_kernels(
    bench: Bench,
    ready: Readiness,
    way: Way,
    auditor: Auditor,
    clock: Callable[[], float] = time.monotonic,
) -> TimedKernels:
    """Alternate turns of both kernels until the noise is small enough, the samples are enough or time is up.

    Raises RunnerTrouble, or Suspicious.
    """
    spent = Spent()
    with contextlib.ExitStack() as listening:
        with spent.on("preparation"):
            ready = tried_out(bench, ready)
            for kernel in bench.kernels:
                listening.enter_context(kernel.listening())
        series = [timer.series() for timer in ready.timers]
        for timer, one in zip(ready.timers, series, strict=True):
            one.end_turn(timer.kernel.used_us())  # from here on nothing is asked of it
        stop = _Turns(bench, ready.timers, series, auditor, spent).until_enough(way, clock)
    reference = series[REFERENCE] if bench.reference else None
    return TimedKernels(
        ready.method, ready.reason, series[CANDIDATE], reference, stop, bench.sets_in_use, spent
    )


@dataclass(frozen=True)
class _Turns:
    """Turn after turn of both kernels."""

    bench: Bench
    timers: Sequence[Timer]
    series: Sequence[Series]
    auditor: Auditor
    spent: Spent

    def until_enough(self, way: Way, clock: Callable[[], float]) -> str:
        """Fill the series; returns why it ended."""
        deadline, turn = clock() + way.budget_s, 0
        while len(self.series[CANDIDATE].measured_us) < way.max_samples:
            self._take(turn)
            turn += 1
            samples = len(self.series[CANDIDATE].measured_us)
            if verdict := _stop(self.series, samples, TARGET_HALF_WIDTH[self.bench.device.type]):
                return verdict
            if clock() >= deadline and samples >= 2 and not self.auditor.owes:
                return f"time budget of {way.budget_s:g} s"
        return f"{way.max_samples} samples"

    def _take(self, turn: int) -> None:
        keep = self.auditor.is_due(turn)
        counts = not (keep and self.bench.keeps)
        single = turn < SINGLE_LAUNCHES and not keep  # nothing may come after what is to be looked at
        order = self._order(turn, keep=keep)
        first = self.bench.reference if order[0] == REFERENCE else self.bench.candidate
        with self.spent.on("contents"):
            self.bench.refresh(first)
        if keep:
            with self.spent.on("audits"):
                self.auditor.choose()
        for place in order:
            with self.spent.on("contents"):
                if place != order[0]:
                    self.bench.refresh_other()
                self.bench.flush()
            with self.spent.on("bursts"):
                self._of_one(place, keep=keep, counts=counts, single=single)
        if keep:
            with self.spent.on("audits"):
                self.auditor.check()

    def _order(self, turn: int, *, keep: bool) -> Sequence[int]:
        """The candidate comes last where it was told, so that it has no time left when it is looked at."""
        forth = turn % 2 == 0 and not (keep and self.bench.candidate.keeps)
        places = range(len(self.timers))
        return places if forth else places[::-1]

    def _of_one(self, place: int, *, keep: bool, counts: bool, single: bool) -> None:
        timer, series = self.timers[place], self.series[place]
        if place == CANDIDATE:
            at_most_us = self.series[REFERENCE].usual_empty_us if len(self.series) > 1 else math.inf
            at_end = self.auditor.glance if keep else None
        else:
            at_most_us, at_end = math.inf, None
        if series.is_watched:
            series.begin_turn(timer.kernel.used_us())
        timer.turn(
            series, keep=keep, counts=counts, single=single, empty_at_most_us=at_most_us, at_end=at_end
        )
        watches = len(series.at_rest_us) < FIRST_LOOKS or self.bench.secret.random() < LOOK_SHARE
        series.end_turn(timer.kernel.used_us() if watches else None)


def _stop(series: Sequence[Series], samples: int, target: float) -> str | None:
    if samples < FIRST_CHECK or samples % CHECK_EVERY:
        return None
    if len(series) == 2:
        noise = ratio_half_width(series[1].measured_us, series[0].measured_us)
    else:
        noise = relative_half_width(series[0].measured_us)
    return f"noise {noise:.2%} <= {target:.1%}" if noise <= target else None
