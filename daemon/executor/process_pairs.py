"""Several pairs of processes for one job, each with memory of its own, and one verdict from them all.

By what one kernel differs in two processes no number of samples from these two shows; new ones do. Of a candidate
without a reference there are several processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from kbd.daemon.executor.protocol import Evaluate
from kbd.daemon.judge.verdict import JudgeTimings, Verdict, overall
from kbd.outbox.intervals import PAIRED_BIAS, PROCESS_SCATTER, ratio_of_pairs
from kbd.outbox.performance import Audit, Performance
from kbd.outbox.result import WorkloadResult
from kbd.outbox.verdict import EvaluationStatus


class ProcessPairs:
    """The verdicts on one job, pair after pair, on a device of a `kind`."""

    def __init__(self, request: Evaluate, kind: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._wanted = request.evaluation.process_pairs
        self._deadline = clock() + request.seconds_left
        self._clock = clock
        self._kind = kind
        self._passed: list[Verdict] = []

    def another_after(self, verdict: Verdict | None) -> bool:
        """Whether there is to be another pair: this one told how fast the candidate is, and time is left."""
        if verdict is None or not _tells_speed(verdict):
            return False
        if len(self._passed) + 1 >= self._wanted or self._clock() >= self._deadline:
            return False
        self._passed.append(verdict)
        return True

    def joint(self, last: Verdict | None) -> Verdict | None:
        """What all pairs say: that of the last one where it failed, or told no speed."""
        if last is None or not self._passed or not _tells_speed(last):
            return last
        return _joint_verdict([*self._passed, last], self._wanted, self._kind)


def _tells_speed(verdict: Verdict) -> bool:
    """Whether there is a speed-up, or a time of every workload of a candidate without a reference."""
    if verdict.status is not EvaluationStatus.PASSED:
        return False
    return verdict.speedup is not None or (bool(verdict.workloads) and all(map(_is_lone, verdict.workloads)))


def _is_lone(result: WorkloadResult) -> bool:
    performance = result.performance
    return performance is not None and performance.reference is None and not performance.interpreted


def _joint_verdict(verdicts: Sequence[Verdict], wanted: int, kind: str) -> Verdict:
    by_workload = zip(*(verdict.workloads for verdict in verdicts), strict=True)
    workloads = tuple(_joint_workload(results, kind) for results in by_workload)
    first = verdicts[0]
    what = "pairs of processes" if first.speedup is not None else "processes"
    missing = f"the job's time was over after {len(verdicts)} of {wanted} {what}"
    told = {
        "workloads": workloads,
        "timings": _sum_of([one.timings for one in verdicts]),
        "notes": first.notes if len(verdicts) == wanted else (*first.notes, missing),
    }
    return first.model_copy(update=told | overall([workload.performance for workload in workloads]))


def _joint_workload(results: Sequence[WorkloadResult], kind: str) -> WorkloadResult:
    found = [result.performance for result in results if result.performance is not None]
    joint = _joint_time(found) if found[0].reference is None else _joint_speedup(found, kind)
    return results[0].model_copy(update={"performance": joint})


def _joint_time(found: Sequence[Performance]) -> Performance:
    """That of the process in the middle."""
    medians = tuple(figures.median for one in found if (figures := one.headline("candidate")) is not None)
    middle = found[sorted(range(len(found)), key=medians.__getitem__)[len(found) // 2]]
    update = {
        "processes_us": medians,
        "noise": ratio_of_pairs(medians, bias=0.0).half_width if min(medians) > 0 else None,
        "stop": f"{middle.stop}, in each of {len(found)} processes",
    }
    return Performance.model_validate(dict(middle) | update)


def _joint_speedup(found: Sequence[Performance], kind: str) -> Performance:
    pairs = tuple(one.speedup for one in found if one.speedup is not None)
    joint = ratio_of_pairs(pairs, PAIRED_BIAS[kind], PROCESS_SCATTER.get(kind))
    middle = sorted(found, key=lambda one: one.speedup or 0.0)[len(found) // 2]
    update = {
        "speedup": joint.value,
        "speedup_ci95": joint.interval,
        "significant": joint.significant and not any(one.is_voided for one in found),
        "pairs": pairs,
        "noise": joint.half_width,
        "stop": f"{middle.stop}, in each of {len(pairs)} pairs of processes",
        "audit": _joint_audit([one.audit for one in found if one.audit is not None]),
    }
    return Performance.model_validate(dict(middle) | update)


def _joint_audit(audits: Sequence[Audit]) -> Audit | None:
    if not audits:
        return None
    return Audit(
        bursts=sum(audit.bursts for audit in audits),
        compared=sum(audit.compared for audit in audits),
        failed=sum(audit.failed for audit in audits),
    )


def _sum_of(timings: Sequence[JudgeTimings]) -> JudgeTimings:
    """Of every stage that was reached."""
    sums: dict[str, float] = {}
    for one in timings:
        for stage, seconds in one.model_dump(exclude_none=True).items():
            sums[stage] = sums.get(stage, 0.0) + seconds
    return JudgeTimings(**sums)
