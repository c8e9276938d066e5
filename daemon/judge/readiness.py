"""Bursts of both kernels made ready: of one method, long enough for the clock, told to keep what must be told."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kbd.daemon.executor.protocol import Role
from kbd.daemon.executor.runner_protocol import Prepared
from kbd.daemon.judge.bench import EMPTY, LONG, ONCE_MORE, PROBED_LAUNCHES, SHORT, SINGLE, Bench, BurstPlan
from kbd.daemon.judge.runner_link import RunnerForged
from kbd.daemon.judge.series import Method
from kbd.daemon.judge.timed_kernel import TimedKernel
from kbd.daemon.judge.timer import Timer

SHORT_US, LONG_US = 100.0, 1000.0
WIDE_LAUNCH_US = 10_000.0
SHORTEST_LAUNCH_US = 0.2
PROBE_REPEATS = 3
SHARED_TRIES = {"graph": 2, "eager": 1}
"""How often bursts are tried out on a device that others use; in loops the CPU launches, and they matter less."""
SLOW_LAUNCH_US = 1_000.0


@dataclass(frozen=True)
class Readiness:
    """Kernels whose bursts are prepared: nothing but timing is left to do.

    `lacked_memory`: with more memory of the device the method might have been another one.
    """

    method: Method
    reason: str | None
    timers: tuple[Timer, ...]
    lacked_memory: bool = False


class _CannotCapture(Exception):
    """A kernel fell back to a weaker method, so both have to."""

    def __init__(self, role: Role, told: Prepared) -> None:
        super().__init__(f"the {role} cannot be captured: {told.reason}")
        self.lacked_memory = told.lacked_memory


def get_ready(bench: Bench, method: Method) -> Readiness:
    """Prepare the bursts of both kernels; needs no quiet device. Raises RunnerTrouble.

    Both are timed by the same method: where one cannot be captured, both fall back to the eager loop.
    """
    try:
        ready = prepared(bench, calibrated(bench, method), method)
    except _CannotCapture as error:
        ready = prepared(bench, calibrated(bench, "eager"), "eager", str(error))
        ready = replace(ready, lacked_memory=error.lacked_memory)
    return tried_out(bench, ready, SHARED_TRIES[ready.method]) if bench.device.type == "cuda" else ready


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


def tried_out(bench: Bench, ready: Readiness, tries: int = 1) -> Readiness:
    """Run every burst before it counts; prepare others if launches take far less or more than they seemed to.

    A few launches, while others use the device, tell little of how long one takes; the shortest of several `tries`
    tells more. Raises RunnerTrouble.
    """
    plans = [_fitting(timer, min(_try_out(timer) for _ in range(tries))) for timer in ready.timers]
    if all(plan == timer.plan for plan, timer in zip(plans, ready.timers, strict=True)):
        return ready
    fitting = replace(ready, timers=prepared(bench, plans, ready.method, ready.reason).timers)
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
    for kernel, told in [(kernel, kernel.prepared()) for kernel in kernels]:
        if told.method == method:
            continue
        if method == "eager":
            raise RunnerForged(kernel.role, f"asked for a plain loop, it prepared {told.method}")
        raise _CannotCapture(kernel.role, told)


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
