"""The performance part of one workload's result: figures, speed-up, how they came about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from kbd.daemon.judge.inputs import input_source
from kbd.daemon.judge.session import Finding, Session
from kbd.daemon.judge.statistics import SpeedUp, relative_half_width, speed_up, summarize
from kbd.daemon.judge.timing import Series, TimedKernels, time_kernels
from kbd.outbox.performance import ClaimedTiming, KernelTiming, Performance, TimingBasis, TimingFigures
from kbd.outbox.verdict import Stage

MIN_SETS = 2
MAX_SETS = 8
HOST_SETS_BYTES = 1 << 30
DEVICE_SHARE = 0.25
AS_CALLED_SAMPLES = 30
INTERPRETED_SAMPLES = 2  # nothing is concluded from them
FALLBACK_CACHE_BYTES = 32 << 20


def time_workload(session: Session, finding: Finding) -> None:
    """Time candidate and reference on the same input sets. Raises RunnerTrouble."""
    session.enter(finding)
    sets, cold = _bind_sets(session, finding)
    session.tell(Stage.TIMING)
    ways = _time_in_each_way(session, sets)
    found = _performance(session, ways, sets=sets, cold=cold)
    finding.performance = found.model_copy(update={"launches": finding.launches})


@dataclass(frozen=True)
class _Ways:
    """The kernels timed as captured graphs (None where that was not possible or not asked for) and eagerly."""

    device: TimedKernels | None
    as_called: TimedKernels

    @property
    def headline(self) -> TimedKernels:
        return self.device or self.as_called


def _time_in_each_way(session: Session, sets: int) -> _Ways:
    evaluation, budget_s = session.request.evaluation, session.request.limits.timing_budget_s
    kernels = (session.candidate, session.reference)
    samples = INTERPRETED_SAMPLES if _interpreted(session) else evaluation.num_trials
    if session.device.type != "cuda" or evaluation.timing == "as_called":
        eager = time_kernels(*kernels, sets=sets, method="eager", max_samples=samples, budget_s=budget_s)
        return _Ways(None, eager)
    first = time_kernels(*kernels, sets=sets, method="graph", max_samples=samples, budget_s=budget_s)
    if first.method == "eager":
        return _Ways(None, first)
    few = min(samples, AS_CALLED_SAMPLES)
    eager = time_kernels(*kernels, sets=sets, method="eager", max_samples=few, budget_s=budget_s / 4)
    return _Ways(first, eager)


def _bind_sets(session: Session, finding: Finding) -> tuple[int, bool]:
    """Give both kernels the same input sets; returns how many, and whether together they exceed the cache."""
    source = input_source(session, finding.plan)
    first = source.draw(session.seeds.timing(finding.number, 0), first=False)
    nbytes = max(first.candidate.nbytes, 1)
    sets = _how_many_sets(nbytes, session.device)
    others = (
        source.draw(session.seeds.timing(finding.number, number), first=False) for number in range(1, sets)
    )
    drawn = [first, *others]
    session.candidate.bind_all([inputs.candidate for inputs in drawn])
    if session.reference is not None:
        session.reference.bind_all([inputs.reference for inputs in drawn])
    return sets, sets * nbytes > _cache_bytes(session.device)


def _how_many_sets(nbytes: int, device: torch.device) -> int:
    """Enough to exceed the cache, as memory allows."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        room = int(free * DEVICE_SHARE) // (2 * nbytes)
    else:
        room = HOST_SETS_BYTES // (2 * nbytes)
    wanted = -(-_cache_bytes(device) * 3 // 2 // nbytes)
    return max(1, min(max(wanted, MIN_SETS), MAX_SETS, room))


def _cache_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).L2_cache_size)
    return _host_cache_bytes()


def _host_cache_bytes() -> int:
    """Size of the last-level cache as Linux tells it."""
    sizes = [
        int(text[:-1]) << 10
        for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
        if (text := path.read_text().strip()).endswith("K")
    ]
    return max(sizes, default=FALLBACK_CACHE_BYTES)


def _performance(session: Session, ways: _Ways, *, sets: int, cold: bool) -> Performance:
    headline = ways.headline
    interpreted = _interpreted(session)
    ratio = None if interpreted else _ratio(headline)
    return Performance(
        candidate=_candidate_timing(ways),
        reference=_reference_timing(ways),
        speedup=ratio.ratio if ratio else None,
        speedup_ci95=(ratio.low, ratio.high) if ratio else None,
        significant=ratio.significant if ratio else None,
        timing=_basis(ways) if ratio else None,
        method=_method(session, ways),
        method_reason=headline.reason,
        cache="cold" if cold else "warm",
        input_sets=sets,
        noise=ratio.half_width if ratio else relative_half_width(headline.candidate.measured_us),
        stop=headline.stop,
        peak_memory_bytes=session.candidate.peak_bytes,
        setup_us=session.candidate.setup_us,
        interpreted=interpreted,
    )


def _interpreted(session: Session) -> bool:
    return any(kernel.interpreted for kernel in (session.candidate, session.reference) if kernel)


def _basis(ways: _Ways) -> TimingBasis:
    return "as_called" if ways.device is None else "device"


def _method(session: Session, ways: _Ways) -> Literal["graph", "events", "wall"]:
    if session.device.type == "cpu":
        return "wall"
    return "events" if ways.device is None else "graph"


def _ratio(timed: TimedKernels) -> SpeedUp | None:
    if timed.reference is None:
        return None
    return speed_up(timed.reference.measured_us, timed.candidate.measured_us)


def _candidate_timing(ways: _Ways) -> KernelTiming:
    device = ways.device.candidate if ways.device else None
    return _kernel_timing(device, ways.as_called.candidate)


def _reference_timing(ways: _Ways) -> KernelTiming | None:
    if ways.as_called.reference is None:
        return None
    return _kernel_timing(ways.device.reference if ways.device else None, ways.as_called.reference)


def _kernel_timing(device: Series | None, as_called: Series) -> KernelTiming:
    claimed = summarize((device or as_called).claimed_us)
    return KernelTiming(
        device=_figures(device) if device else None,
        as_called=_figures(as_called),
        claimed=ClaimedTiming(median=claimed.median, samples=claimed.samples),
    )


def _figures(series: Series) -> TimingFigures:
    return TimingFigures(**vars(summarize(series.measured_us)))
