"""A result in the words of the original kernel evaluation server's second API (milliseconds).

Only the shape is old: the figures are those of the result, in full precision. Where the old shape demands a
number and nothing was measured it says -1.0, the convention of KernelBench; such numbers are never positive.
Times are the means the old server gave. Its `correctness` is true only for a job that passed: a suspect
result must earn nothing from a client that reads no further. Old jobs had one workload; of a job with
several, the first is shown.
"""

from typing import Any, Final, Literal

from kbd.outbox.performance import Performance, TimingFigures
from kbd.outbox.result import JobResult
from kbd.outbox.verdict import INCORRECT, EvaluationStatus

NOT_MEASURED: Final = -1.0
_US_PER_MS: Final = 1000.0


def compare_response(result: JobResult) -> dict[str, Any]:
    """The old `CompareResponse`: candidate against reference."""
    return {**evaluate_response(result), "ref_runtime": _statistics(_headline(result, "reference"))}


def evaluate_response(result: JobResult) -> dict[str, Any]:
    """The old `EvaluationResponse`: the candidate alone."""
    figures = _headline(result, "candidate")
    return {
        "job_id": result.job_id,
        "kernel_exec_result": {
            "compiled": result.compiled is True or result.passed,
            "correctness": result.passed,
            "runtime": _statistics(figures)["mean"],
            "runtime_stats": None if figures is None else _statistics(figures),
            "metadata": _metadata(result),
            "compilation_error": _error_text(result) if _is_compile_error(result) else None,
            "validation_error": None if result.passed or _is_compile_error(result) else _error_text(result),
        },
        "pod_name": result.environment.host if result.environment else "",
        "pod_ip": "",
        "status": "completed" if result.state == "completed" else "failed",
    }


def _is_compile_error(result: JobResult) -> bool:
    return result.status is EvaluationStatus.COMPILE_ERROR


def _headline(result: JobResult, kernel: Literal["candidate", "reference"]) -> TimingFigures | None:
    performance = _performance(result)
    return None if performance is None else performance.headline(kernel)


def _performance(result: JobResult) -> Performance | None:
    """Of a job that passed only: what a wrong or suspect kernel took means nothing."""
    return result.workloads[0].performance if result.passed and result.workloads else None


def _statistics(figures: TimingFigures | None) -> dict[str, float]:
    if figures is None:
        names = ("mean", "std", "min", "max", "median", "percentile_95", "percentile_99")
        return dict.fromkeys(names, NOT_MEASURED)
    return {
        "mean": figures.mean / _US_PER_MS,
        "std": figures.std / _US_PER_MS,
        "min": figures.min / _US_PER_MS,
        "max": figures.max / _US_PER_MS,
        "median": figures.median / _US_PER_MS,
        "percentile_95": figures.p95 / _US_PER_MS,
        "percentile_99": figures.p99 / _US_PER_MS,
    }


def _metadata(result: JobResult) -> dict[str, Any]:
    device, performance = result.device, _performance(result)
    launches = performance.launches if performance else ()
    return {
        "gpu_id": device.index if device is not None and device.index is not None else -1,
        "gpu_type": device.name if device else None,
        "cuda_version": result.environment.cuda if result.environment else None,
        "kernel_name": launches[0].kernel if launches else None,
        "device_metrics": result.device_metrics.model_dump() if result.device_metrics else None,
        "kbd_status": result.status.value,
        "kbd_blame": result.blame.value if result.blame else None,
    }


def _error_text(result: JobResult) -> str:
    if result.error is not None:
        return f"{result.error.type}: {result.error.message}"
    if result.suspect:
        return "; ".join(f"{found.rule}: {found.evidence}" for found in result.suspect)
    if result.status in INCORRECT:
        problems = [output.problem for output in _compared_outputs(result) if output.problem]
        return "; ".join([result.status.value, *problems])
    return result.status.value


def _compared_outputs(result: JobResult) -> list[Any]:
    return [
        output
        for workload in result.workloads
        if workload.correctness is not None
        for output in workload.correctness.outputs
    ]
