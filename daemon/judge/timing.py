"""Time per launch by the judge's own clock.

A *turn* of one kernel is three bursts between the judge's `go` and the runner's `done`: an empty one, a short
one and a long one; the slope between the latter two is the time of one launch, because whatever a burst costs by
itself (the bell, starting a graph) is in both and cancels. The empty burst comes first and twice: on a device that
several processes share, the first of a process waits until the device has turned to it (measured on an H100:
0.1 ms, give or take as much), and that must not fall into a burst that counts. Turns of reference and candidate
alternate (A B, B A, …), so that drift of clocks and temperature falls on both alike. What the runner claims stands
beside and decides nothing.
"""

from __future__ import annotations

import contextlib
import math
import operator
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kbd.daemon.judge.audit import Auditor
from kbd.daemon.judge.bench import EMPTY, LONG, ONCE_MORE, PROBED_LAUNCHES, SHORT, SINGLE, Bench, BurstPlan
from kbd.daemon.judge.runner_link import RunnerForged
from kbd.daemon.judge.series import SMALLEST_SAMPLE_US, Method, Series, Spent, TimedKernels
from kbd.daemon.judge.statistics import ratio_half_width, relative_half_width, slope
from kbd.daemon.judge.timed_kernel import TimedKernel

SHORT_US, LONG_US = 100.0, 1000.0
WIDE_LAUNCH_US = 10_000.0
SHORTEST_LAUNCH_US = 0.2
PROBE_REPEATS = 3
SHARED_TRIES = 3
SLOW_LAUNCH_US = 1_000.0
CHECK_EVERY = 5
FIRST_CHECK = 20
TARGET_HALF_WIDTH = {"cuda": 0.005, "cpu": 0.01}
"""Noise at which sampling ends: well below what two processes differ by anyway (`PROCESS_BIAS`)."""
SINGLE_LAUNCHES = 8
CANDIDATE, REFERENCE = range(2)


@dataclass(frozen=True)
class Way:
    """How kernels are timed, and for how long at most."""

    method: Method
    max_samples: int
    budget_s: float


@dataclass(frozen=True)
class Readiness:
    """Kernels whose bursts are prepared: nothing but timing is left to do."""

    method: Method
    reason: str | None
    timers: tuple[Timer, ...]


class _CannotCapture(Exception):
    """A kernel fell back to a weaker method, so both have to."""


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
        if self.kernel.takes_turns_on_device:
            self.kernel.burst(EMPTY)
        series.empty_us, empty_claimed = self.kernel.burst(EMPTY)
        empty = min(series.empty_us, empty_at_most_us)
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


def get_ready(bench: Bench, method: Method) -> Readiness:
    """Prepare the bursts of both kernels; needs no quiet device. Raises RunnerTrouble.

    Both are timed by the same method: where one cannot be captured, both fall back to the eager loop.
    """
    try:
        ready = prepared(bench, calibrated(bench, method), method)
    except _CannotCapture as error:
        ready = prepared(bench, calibrated(bench, "eager"), "eager", str(error))
    return tried_out(bench, ready, SHARED_TRIES) if bench.device.type == "cuda" else ready


def prepared(
    bench: Bench, plans: Sequence[BurstPlan], method: Method, reason: str | None = None
) -> Readiness:
    """Prepare bursts of these lengths. Raises RunnerTrouble."""
    bursts = [plan.bursts(warm=bench.warm) for plan in plans]
    keep = _to_be_kept(bench, method) if method == "eager" else [False] * len(bursts)
    _prepare(bench.kernels, bursts, method, keep)
    while (wanted := [*map(operator.or_, keep, _to_be_kept(bench, method))]) != keep:
        keep = wanted
        _prepare(bench.kernels, bursts, method, keep)
    bench.plan(plans[0], plans[1] if bench.reference is not None else None)
    return Readiness(method, reason, tuple(map(Timer, bench.kernels, plans)))


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
        stop = _Turns(bench, ready.timers, series, auditor, spent).until_enough(way, clock)
    reference = series[REFERENCE] if bench.reference else None
    return TimedKernels(ready.method, ready.reason, series[CANDIDATE], reference, stop, spent)


def tried_out(bench: Bench, ready: Readiness, tries: int = 1) -> Readiness:
    """Run every burst before it counts; prepare others if launches take far less or more than they seemed to.

    A few launches, while others use the device, tell little of how long one takes; the shortest of several `tries`
    tells more. Raises RunnerTrouble.
    """
    plans = [_fitting(timer, min(_try_out(timer) for _ in range(tries))) for timer in ready.timers]
    if all(plan == timer.plan for plan, timer in zip(plans, ready.timers, strict=True)):
        return ready
    fitting = prepared(bench, plans, ready.method, ready.reason)
    for timer in fitting.timers:
        _try_out(timer)
    return fitting


def _try_out(timer: Timer) -> float:
    """Time of one launch at a first glance: no less than it is."""
    empty, _, long, _ = (timer.kernel.burst(index)[0] for index in (EMPTY, SHORT, LONG, SINGLE))
    return max((long - empty) / timer.plan.long, SHORTEST_LAUNCH_US)


def _fitting(timer: Timer, launch_us: float) -> BurstPlan:
    wanted = burst_plan(launch_us, timer.kernel.count)
    return timer.plan if timer.plan.long / 2 <= wanted.long <= timer.plan.long * 2 else wanted


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
            if clock() >= deadline and samples >= 2:
                return f"time budget of {way.budget_s:g} s"
        return f"{way.max_samples} samples"

    def _take(self, turn: int) -> None:
        keep = self.auditor.is_due(turn)
        counts = not (keep and self.bench.keeps)
        single = turn < SINGLE_LAUNCHES and not keep  # nothing may come after what is to be looked at
        with self.spent.on("contents"):
            self.bench.refresh()
        if keep:
            with self.spent.on("audits"):
                self.auditor.choose()
        for place in self._order(turn, keep=keep):
            with self.spent.on("contents"):
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
            at_most_us = self.series[REFERENCE].empty_us if len(self.series) > 1 else math.inf
            at_end = self.auditor.glance if keep else None
        else:
            at_most_us, at_end = math.inf, None
        timer.turn(
            series, keep=keep, counts=counts, single=single, empty_at_most_us=at_most_us, at_end=at_end
        )


def _to_be_kept(bench: Bench, method: Method) -> list[bool]:
    """Whose outputs can be compared in bursts alone that are told to keep them.

    Where the candidate is told, the reference is as well: so it is known what keeping costs.
    """
    if not bench.can_compare:
        return [False] * len(bench.kernels)
    candidate, reference = (kernel.left.must_be_kept(method) for kernel in bench.kernels)
    return [candidate, candidate or reference]


def _prepare(
    kernels: Sequence[TimedKernel],
    bursts: Sequence[Sequence[Sequence[int]]],
    method: Method,
    keep: Sequence[bool],
    *,
    final: bool = True,
) -> None:
    """All at once: each runner captures on its own."""
    for kernel, wanted, keeps in zip(kernels, bursts, keep, strict=True):
        kernel.start_preparing(wanted, method, keep=keeps, final=final)
    for kernel, prepared in [(kernel, kernel.prepared()) for kernel in kernels]:
        if prepared.method == method:
            continue
        if method == "eager":
            raise RunnerForged(kernel.role, f"asked for a plain loop, it prepared {prepared.method}")
        raise _CannotCapture(f"the {kernel.role} cannot be captured: {prepared.reason}")


def calibrated(bench: Bench, method: Method) -> list[BurstPlan]:
    """Choose burst lengths that make one launch's time stand out from the clock's noise. Raises RunnerTrouble."""
    kernels = bench.kernels
    several = min(PROBED_LAUNCHES, *(kernel.count for kernel in kernels))
    probe = [[], [0], list(range(several))]
    _prepare(kernels, [probe] * len(kernels), method, [False] * len(kernels), final=False)
    return [burst_plan(_rough_launch_us(kernel, several), kernel.count) for kernel in kernels]


def _rough_launch_us(kernel: TimedKernel, several: int) -> float:
    """Time of one launch, good enough to choose lengths by; slow kernels are not run often for it."""
    empty = min(kernel.burst(0)[0] for _ in range(PROBE_REPEATS))
    once = kernel.burst(1)[0] - empty
    if once >= SLOW_LAUNCH_US:
        return once
    many = min(kernel.burst(2)[0] for _ in range(PROBE_REPEATS))
    return max((many - empty) / several, SHORTEST_LAUNCH_US)


def burst_plan(launch_us: float, sets: int) -> BurstPlan:
    """Launches of a short and of a long burst for a kernel of this time per launch, with so many input sets."""
    room = max(sets - ONCE_MORE, 1)
    if launch_us >= WIDE_LAUNCH_US or room < 2:
        return BurstPlan(0, 1)
    short = min(math.floor(SHORT_US / launch_us), room // 4)
    return BurstPlan(short, min(max(math.ceil(LONG_US / launch_us), short + 2), room - short))


def _stop(series: Sequence[Series], samples: int, target: float) -> str | None:
    if samples < FIRST_CHECK or samples % CHECK_EVERY:
        return None
    if len(series) == 2:
        noise = ratio_half_width(series[1].measured_us, series[0].measured_us)
    else:
        noise = relative_half_width(series[0].measured_us)
    return f"noise {noise:.2%} <= {target:.1%}" if noise <= target else None
