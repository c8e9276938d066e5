"""Two results beside each other, and whether one candidate is faster than the other.

Where both were timed against the same reference, the quotient of the two speed-ups answers: each is a paired
ratio, so that it knows nothing of how fast the device was that day. Else the two times are held against each
other, with the intervals of their medians and what two processes differ by anyhow.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from kbd.daemon.cli.provenance import REFERENCE, Difference, differences, task_differences
from kbd.outbox.intervals import (
    PROCESS_BIAS,
    Ratio,
    Times,
    geometric_mean,
    median_interval,
    quotient,
    time_ratio,
)

if TYPE_CHECKING:
    from kbd.outbox.performance import Performance, TimingFigures
    from kbd.outbox.result import JobResult, WorkloadResult

SCHEMA_VERSION: Final = 1
Basis = Literal["speedups", "times"]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How many times as fast B is as A.

    Attributes:
        ratio: time of A over time of B; None where nothing can be said, and `reason` says why.
        basis: speedups: the quotient of two speed-ups over the same reference; times: of the times themselves.
        significant: None where there is no interval.
    """

    ratio: Ratio | None
    basis: Basis | None
    significant: bool | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ComparedWorkload:
    """One workload that both jobs were timed on."""

    name: str
    a: "Performance"
    b: "Performance"
    ratio: Ratio | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two results, what is concluded from them, and what speaks against the conclusion."""

    a: "JobResult"
    b: "JobResult"
    conclusion: Conclusion
    workloads: tuple[ComparedWorkload, ...]
    differences: tuple[Difference, ...]

    def as_document(self) -> dict[str, Any]:
        """For `--json`."""
        said, ratio = self.conclusion, self.conclusion.ratio
        return {
            "schema_version": SCHEMA_VERSION,
            "a": _side(self.a),
            "b": _side(self.b),
            "ratio": ratio.value if ratio else None,
            "ratio_ci95": ratio.interval if ratio else None,
            "significant": said.significant,
            "basis": said.basis,
            "reason": said.reason,
            "workloads": [_document(workload) for workload in self.workloads],
            "differences": [asdict(difference) for difference in self.differences],
        }


def compare(
    a: "JobResult", b: "JobResult", a_manifest: str | None = None, b_manifest: str | None = None
) -> Comparison:
    """Hold B against A. The manifests tell whether both had the same reference; without them it is assumed."""
    tasks = task_differences(a_manifest, b_manifest)
    found = (*differences(a, b), *tasks)
    pairs = _pairs(a, b)
    basis: Basis | None = _basis(pairs, tasks)
    workloads = tuple(
        ComparedWorkload(name, ours, theirs, _ratio(ours, theirs, basis, _bias(a, b)))
        for name, ours, theirs in pairs
    )
    return Comparison(a, b, _conclude(a, b, workloads, basis, found), workloads, found)


def _pairs(a: "JobResult", b: "JobResult") -> list[tuple[str, "Performance", "Performance"]]:
    theirs = {_key(workload): workload.performance for workload in b.workloads}
    found = [(workload.name, workload.performance, theirs.get(_key(workload))) for workload in a.workloads]
    return [(name, ours, other) for name, ours, other in found if ours is not None and other is not None]


def _key(workload: "WorkloadResult") -> tuple[str, tuple[tuple[str, int], ...]]:
    return workload.name, tuple(sorted(workload.axes.items()))


def _basis(
    pairs: Sequence[tuple[str, "Performance", "Performance"]], tasks: Sequence[Difference]
) -> Basis | None:
    if not pairs:
        return None
    other_reference = any(task.what == REFERENCE for task in tasks)
    both = all(ours.speedup is not None and theirs.speedup is not None for _, ours, theirs in pairs)
    return "speedups" if both and not other_reference else "times"


def _ratio(a: "Performance", b: "Performance", basis: Basis | None, bias: float) -> Ratio | None:
    if basis == "speedups" and a.speedup is not None and b.speedup is not None:
        return quotient(Ratio(b.speedup, b.speedup_ci95), Ratio(a.speedup, a.speedup_ci95))
    ours, theirs = a.headline("candidate"), b.headline("candidate")
    if ours is None or theirs is None or not (ours.median and theirs.median):
        return None
    return time_ratio(times_of(ours), times_of(theirs), bias)


def times_of(figures: "TimingFigures") -> Times:
    """The median with its interval, where the result holds all its samples."""
    whole = len(figures.samples_us) == figures.samples
    return Times(figures.median, median_interval(figures.samples_us) if whole else None)


def _bias(a: "JobResult", b: "JobResult") -> float:
    kinds = [result.device.kind for result in (a, b) if result.device is not None]
    return max((PROCESS_BIAS.get(kind, 0.0) for kind in kinds), default=max(PROCESS_BIAS.values()))


def _conclude(
    a: "JobResult",
    b: "JobResult",
    workloads: Sequence[ComparedWorkload],
    basis: Basis | None,
    found: Sequence[Difference],
) -> Conclusion:
    reason = _obstacle(a, b, workloads, found)
    ratios = [workload.ratio for workload in workloads if workload.ratio is not None]
    if reason is not None or not ratios:
        return Conclusion(None, None, None, reason or "a time is missing or 0")
    ratio = geometric_mean(ratios)
    if ratio.interval is None:
        return Conclusion(ratio, basis, None, "a result has no interval, or does not hold all its samples")
    disturbed = [result.job_id for result in (a, b) if _is_disturbed(result)]
    if disturbed:
        return Conclusion(
            ratio, basis, significant=False, reason=f"the timing of {disturbed[0]} was disturbed"
        )
    return Conclusion(ratio, basis, ratio.significant)


def _obstacle(
    a: "JobResult",
    b: "JobResult",
    workloads: Sequence[ComparedWorkload],
    found: Sequence[Difference],
) -> str | None:
    """Why nothing can be said about which one is faster, or None."""
    failed = [result.job_id for result in (a, b) if not result.passed]
    if failed:
        return f"{' and '.join(failed)} did not pass: a time counts only for a right answer"
    if a.interpreted or b.interpreted:
        return "a kernel ran in an interpreter: its times mean nothing"
    if not workloads or len(workloads) < max(len(a.workloads), len(b.workloads)):
        return "they were not timed on the same workloads"
    forbidding = [difference.what for difference in found if difference.forbids]
    if forbidding:
        return f"not the same {', '.join(dict.fromkeys(forbidding))}"
    return None


def _is_disturbed(result: "JobResult") -> bool:
    """Whether something other than the interval has voided the significance of the result's own speed-up."""
    if result.speedup is None or result.speedup_ci95 is None or result.significant is not False:
        return False
    low, high = result.speedup_ci95
    return not low <= 1 <= high


def _side(result: "JobResult") -> dict[str, Any]:
    return {
        "job_id": result.job_id,
        "status": result.status.value,
        "speedup": result.speedup,
        "speedup_ci95": result.speedup_ci95,
        "significant": result.significant,
    }


def _document(workload: ComparedWorkload) -> dict[str, Any]:
    ratio = workload.ratio
    return {
        "name": workload.name,
        "ratio": ratio.value if ratio else None,
        "ratio_ci95": ratio.interval if ratio else None,
        "a": _times(workload.a),
        "b": _times(workload.b),
    }


def _times(performance: "Performance") -> dict[str, Any]:
    document: dict[str, Any] = {"speedup": performance.speedup, "speedup_ci95": performance.speedup_ci95}
    for role in ("candidate", "reference"):
        figures = performance.headline(role)
        times = times_of(figures) if figures else None
        document[role] = {"median_us": times.median, "ci95_us": times.interval} if times else None
    return document
