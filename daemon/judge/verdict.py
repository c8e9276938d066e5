"""What a judge tells the daemon at the end: the part of the result that only the judge can know."""

from __future__ import annotations

from typing import Literal

from kbd.outbox.circumstances import DeviceReport
from kbd.outbox.report import ErrorReport, Report, Suspicion
from kbd.outbox.result import WorkloadResult
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage


class JudgeTimings(Report):
    """Seconds that the judge spent in each of its stages."""

    load: float | None = None
    correctness: float | None = None
    timing: float | None = None


class Verdict(Report):
    """The outcome of one evaluation. `lost`: that runner died by itself, and the daemon knows how."""

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
