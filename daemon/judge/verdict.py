"""What a judge tells the daemon at the end: the part of the result that only the judge can know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from kbd.outbox.circumstances import DeviceReport
from kbd.outbox.intervals import Ratio, geometric_mean
from kbd.outbox.performance import Performance
from kbd.outbox.report import ErrorReport, Report, Suspicion
from kbd.outbox.result import WorkloadResult
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage


class JudgeTimings(Report):
    """Seconds that the judge spent in each of its stages."""

    load: float | None = None
    correctness: float | None = None
    timing: float | None = None


class Verdict(Report):
    """The outcome of one evaluation. `lost`: that runner died by itself, and the daemon knows how.

    `lacked_memory`: with all of the device's memory it would have been judged otherwise.
    """

    status: EvaluationStatus
    stage: Stage | None = None
    blame: Blame | None = None
    error: ErrorReport | None = None
    suspect: tuple[Suspicion, ...] = ()
    lost: Literal["candidate", "reference"] | None = None
    compiled: bool | None = None
    correct: bool | None = None
    speedup: float | None = None
    speedup_ci95: tuple[float, float] | None = None
    significant: bool | None = None
    workloads: tuple[WorkloadResult, ...] = ()
    device: DeviceReport | None = None
    timings: JudgeTimings = JudgeTimings()
    seed: int | None = None
    pinned_inputs: bool = False
    weak_test: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    lacked_memory: bool = False


def overall(found: Sequence[Performance | None]) -> dict[str, Any]:
    """A verdict's speed-up over all workloads, as its fields: the geometric mean; nothing where one has none.

    Its interval is that of the only workload, where there is one.
    """
    timed = [one for one in found if one is not None and one.speedup]
    if not timed or len(timed) < len(found):
        return {}
    if len(timed) == 1:
        only = timed[0]
        return {
            "speedup": only.speedup,
            "speedup_ci95": only.speedup_ci95,
            "significant": only.significant,
        }
    joint = geometric_mean([Ratio(one.speedup, one.speedup_ci95) for one in timed if one.speedup])
    significant = joint.significant and not any(one.is_voided for one in timed)
    return {"speedup": joint.value, "speedup_ci95": joint.interval, "significant": significant}
