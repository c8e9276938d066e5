"""The performance part of one workload's result: figures, speed-up, how they came about."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Final, Literal

from kbd.daemon.judge import at_rest
from kbd.daemon.judge.audit import Auditor, Suspicious
from kbd.daemon.judge.bench import Bench, BurstPlan
from kbd.daemon.judge.correctness import require_steady_reference
from kbd.daemon.judge.device_speed import cache_bytes, device_speed
from kbd.daemon.judge.host_load import HostLoad
from kbd.daemon.judge.plausibility import Floor, check_kept, check_plausible
from kbd.daemon.judge.readiness import Readiness, calibrated, get_ready, prepared
from kbd.daemon.judge.runner_link import RunnerTrouble
from kbd.daemon.judge.series import Series, Spent, TimedKernels
from kbd.daemon.judge.session import Finding, Session
from kbd.daemon.judge.statistics import SpeedUp, relative_half_width, speed_up, summarize
from kbd.daemon.judge.stocking import stocked_bench
from kbd.daemon.judge.timing import Way, time_kernels
from kbd.outbox.intervals import PROCESS_BIAS
from kbd.outbox.performance import (
    SAMPLES_KEPT,
    Audit,
    ClaimedTiming,
    KernelTiming,
    LeaseUse,
    Performance,
    TimingBasis,
    TimingFigures,
)
from kbd.outbox.verdict import Stage

AS_CALLED_SAMPLES = 8
AS_CALLED_BUDGET_SHARE = 0.25
INTERPRETED_SAMPLES = 2  # nothing is concluded from them
TIMINGS_IN_DOUBT: Final = {"cuda": 1, "cpu": 3}
"""On the CPU two of so many timings must have figures that no honest kernel has: a host may delay one process."""
TOO_NOISY: Final = "too noisy for a speed-up"
BUSY_HOST: Final = (
    "no difference is said to be significant, since the host was busy while it was timed; "
    "judge it again on a quiet host"
)
NOTHING_COMPARED: Final = "nothing that was timed could be compared with the reference"
L2_POLICIES: Final = {
    True: "every launch of a burst on the same input set",
    False: "flushed before every turn; every input set launched on once a turn",
}


def time_workload(session: Session, finding: Finding) -> None:
    """Time candidate and reference on the same input sets.

    Raises RunnerTrouble, Suspicious, BadData or ReferenceUnusable.
    """
    session.enter(finding)
    session.tell(Stage.TIMING)
    timings = TIMINGS_IN_DOUBT[session.device.type]
    most = timings // 2 + 1
    taken: list[_Taken] = []
    while len(taken) < timings:
        taken.append(_time_steady(session, finding))
        doubts = [one.doubt for one in taken if one.doubt]
        proofs = [one.doubt for one in taken if one.doubt and one.proves]
        if len(proofs) >= most:
            raise proofs[-1]
        if not taken[-1].doubt and (not doubts or len(taken) - len(doubts) >= most):
            break
    if len(doubts) >= most:
        _withhold_speedup(session, finding, doubts[-1])
    _qualify(session, finding, taken[-1])


@dataclass(frozen=True)
class _Taken:
    """A timing. `doubt`: its figures are none that an honest kernel has; on a `busy` host that proves nothing.

    `works_at_rest`: the candidate's processes did not sleep while nothing was asked of them.
    """

    doubt: Suspicious | None
    busy: bool
    works_at_rest: bool = False

    @property
    def proves(self) -> bool:
        """Whether the doubt is one that a host's load has no part in."""
        return not self.busy or (self.doubt is not None and self.doubt.despite_load)


def _withhold_speedup(session: Session, finding: Finding, doubt: Suspicious) -> None:
    finding.withhold_speedup(TOO_NOISY)
    session.note(
        f"no speed-up is told, since the host was busy and the candidate's figures contradict each other: {doubt}; "
        "judge it again on a quiet host"
    )


def _time_steady(session: Session, finding: Finding) -> _Taken:
    """As `_time_once`; nobody is accused of another answer than the reference's where that has several itself."""
    try:
        return _time_once(session, finding)
    except Suspicious as suspicious:
        if suspicious.suspicion.rule == "timed_output_wrong":
            with contextlib.suppress(RunnerTrouble):
                require_steady_reference(session, finding)
        raise


def _time_once(session: Session, finding: Finding) -> _Taken:
    """Fill in what was found."""
    bench = stocked_bench(session, finding)
    on_device = session.device.type == "cuda"
    floor = Floor.of(device_speed(), bench.candidate.output_bytes) if on_device else None
    wants_graph = on_device and session.request.evaluation.timing != "as_called"
    as_called = calibrated(bench, "eager") if wants_graph else None
    ready = get_ready(bench, "graph" if wants_graph else "eager")
    session.lacked_memory = session.lacked_memory or ready.lacked_memory
    auditor = Auditor(bench, finding.yardsticks, _samples(session))
    with session.lease():
        held_since = time.perf_counter()
        session.inspector.timing_begins()
        before = HostLoad.now()
        ways = _time_in_each_way(session, bench, ready, as_called, auditor)
        after = HostLoad.now()
        session.device_report = session.inspector.report()
        finding.sm_mhz = session.inspector.sm_mhz()
        held_s = time.perf_counter() - held_since
    found = _performance(session, bench, ways, auditor.report(), floor)
    told = {"launches": finding.launches, "lease": ways.lease_use(held_s)}
    finding.performance = found.model_copy(update=told)
    busy = not on_device and after.was_busy_since(before)
    doubt = None if _interpreted(session) else _doubt(ways, floor, on_device=on_device)
    return _Taken(doubt, busy, at_rest.works_at_rest(ways.headline))


def _doubt(ways: _Ways, floor: Floor | None, *, on_device: bool) -> Suspicious | None:
    try:
        check_plausible(ways.headline, floor, on_device=on_device)
        if ways.device is not None:
            check_kept(ways.as_called, floor)
    except Suspicious as suspicious:
        return suspicious
    return None


def _qualify(session: Session, finding: Finding, last: _Taken) -> None:
    """Claim no more of a speed-up than what was compared, and the host, allow."""
    found = finding.performance
    assert found is not None
    if found.interpreted:
        return
    if found.audit is not None and not found.audit.compared:
        if found.speedup is not None:
            finding.withhold_speedup(NOTHING_COMPARED)
        session.note(f"no speed-up is told, since {NOTHING_COMPARED} (docs/measurement.md, The audit)")
    elif last.works_at_rest and found.speedup is not None:
        finding.withhold_speedup(at_rest.AT_WORK)
        session.note(
            f"no speed-up is told, since {at_rest.AT_WORK}: let its threads sleep when a call is over"
        )
    elif last.busy and found.significant:
        finding.performance = found.model_copy(update={"significant": False})
        session.note(BUSY_HOST)


@dataclass(frozen=True)
class _Ways:
    """The kernels timed as captured graphs (None where that was not possible or not asked for) and eagerly."""

    device: TimedKernels | None
    as_called: TimedKernels
    between: Spent = field(default_factory=Spent)
    """What was spent after the one and before the other."""

    @property
    def headline(self) -> TimedKernels:
        return self.device or self.as_called

    def lease_use(self, held_s: float) -> LeaseUse:
        """Where so many seconds on the device alone went."""
        timed = [one.spent for one in (self.device, self.as_called) if one is not None]
        uses = [use.name for use in fields(Spent)]
        return LeaseUse(
            held=held_s, **{use: sum(getattr(one, use) for one in (*timed, self.between)) for use in uses}
        )


def _time_in_each_way(
    session: Session, bench: Bench, ready: Readiness, as_called: Sequence[BurstPlan] | None, auditor: Auditor
) -> _Ways:
    """By the method that is ready; after graphs also as called, in bursts of the lengths that were chosen."""
    budget_s = session.request.limits.timing_budget_s
    samples = _samples(session)
    first = time_kernels(bench, ready, Way(ready.method, samples, budget_s), auditor)
    if ready.method == "eager" or as_called is None:
        return _Ways(None, first)
    few = Way("eager", min(samples, AS_CALLED_SAMPLES), budget_s * AS_CALLED_BUDGET_SHARE)
    between = Spent()
    with between.on("preparation"):
        eager = prepared(bench, as_called, "eager")
    return _Ways(first, time_kernels(bench, eager, few, auditor), between)


def _is_cold(session: Session, bench: Bench) -> bool:
    """Whether inputs come from memory: flushed on a device, more of them than the cache holds on the CPU."""
    if bench.warm or session.device.type == "cuda":
        return not bench.warm
    return bench.bytes_in_use > cache_bytes(session.device)


def _performance(
    session: Session, bench: Bench, ways: _Ways, audit: Audit | None, floor: Floor | None
) -> Performance:
    headline = ways.headline
    interpreted = _interpreted(session)
    ratio = None if interpreted else _ratio(headline, PROCESS_BIAS[session.device.type])
    return Performance(
        candidate=_candidate_timing(ways),
        reference=_reference_timing(ways),
        speedup=ratio.ratio if ratio else None,
        speedup_ci95=(ratio.low, ratio.high) if ratio and ratio.bounded else None,
        significant=ratio.significant if ratio else None,
        timing=_basis(ways) if ratio else None,
        method=_method(session, ways),
        method_reason=headline.reason,
        cache="cold" if _is_cold(session, bench) else "warm",
        l2_policy=L2_POLICIES[bench.warm] if session.device.type == "cuda" else None,
        input_sets=headline.input_sets,
        noise=_noise(headline.candidate, ratio, compares=_compares(session)),
        stop=headline.stop if ratio or not _compares(session) else f"{headline.stop}; {TOO_NOISY}",
        audit=audit,
        floor_us=max(floor.launch_us, floor.write_us) if floor else None,
        peak_memory_bytes=session.candidate.peak_bytes,
        setup_us=session.candidate.setup_us,
        interpreted=interpreted,
    )


def _samples(session: Session) -> int:
    return INTERPRETED_SAMPLES if _interpreted(session) else session.request.evaluation.num_trials


def _compares(session: Session) -> bool:
    return session.reference is not None and not _interpreted(session)


def _noise(candidate: Series, ratio: SpeedUp | None, *, compares: bool) -> float | None:
    """Of the speed-up where one was to be found, else of the candidate's time; None: nothing is known of it."""
    if compares:
        return _finite(ratio.half_width) if ratio else None
    return _finite(relative_half_width(candidate.measured_us))


def _finite(figure: float) -> float | None:
    return figure if math.isfinite(figure) else None


def _interpreted(session: Session) -> bool:
    return any(kernel.interpreted for kernel in (session.candidate, session.reference) if kernel)


def _basis(ways: _Ways) -> TimingBasis:
    return "as_called" if ways.device is None else "device"


def _method(session: Session, ways: _Ways) -> Literal["graph", "events", "wall"]:
    if session.device.type == "cpu":
        return "wall"
    return "events" if ways.device is None else "graph"


def _ratio(timed: TimedKernels, bias: float) -> SpeedUp | None:
    if timed.reference is None:
        return None
    return speed_up(timed.reference.measured_us, timed.candidate.measured_us, bias=bias)


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
    """Where noise has made a slope negative, what the turn took for each launch altogether stands for it."""
    turns = zip(series.measured_us, series.whole_us, strict=True)
    samples = [launch if launch > 0 else whole for launch, whole in turns]
    kept = tuple(float(f"{sample:.6g}") for sample in samples[:SAMPLES_KEPT])
    return TimingFigures(**vars(summarize(samples)), samples_us=kept)
