"""What a job may ask for and this kbd does not do yet: said before it is delivered, and in its result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kbd.inbox.evaluation import Evaluation
from kbd.outbox.circumstances import DeviceMetrics
from kbd.outbox.result import JobResult

NO_COUNTERS: Final = "not measured: this kbd does not read hardware counters yet"


def unmeasured(evaluation: Evaluation) -> Iterator[str]:
    """All that the job asks for in vain, a sentence each."""
    if evaluation.sanitizer is not None:
        yield _no_sanitizer(evaluation.sanitizer)
    if evaluation.device_metrics.enabled:
        yield f"evaluation.device_metrics: {NO_COUNTERS}"


def with_unmeasured(result: JobResult, evaluation: Evaluation) -> JobResult:
    """The result, saying what was asked for in vain; its verdict stays, which is about everything else."""
    said = dict(result)
    if evaluation.sanitizer is not None:
        said["notes"] = (*result.notes, _no_sanitizer(evaluation.sanitizer))
    if evaluation.device_metrics.enabled:
        said["device_metrics"] = DeviceMetrics(unavailable=NO_COUNTERS)
    return JobResult.model_validate(said)


def _no_sanitizer(tool: str) -> str:
    return f"evaluation.sanitizer: {tool} is not run: this kbd runs no sanitizers yet"
