"""Results to start a test from: each valid, each with everything its status asks for."""

from collections.abc import Callable
from typing import Any

import pytest

from kbd.outbox.circumstances import (
    ClocksReport,
    DeviceMetrics,
    DeviceReport,
    EnvironmentReport,
    IsolationReport,
    StageTimings,
)
from kbd.outbox.correctness import Correctness, OutputReport, ToleranceReport
from kbd.outbox.performance import Audit, ClaimedTiming, KernelTiming, Launch, Performance, TimingFigures
from kbd.outbox.report import ErrorReport, Logs
from kbd.outbox.result import JobResult, WorkloadResult
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage, state_of


def figures(median: float = 41.2) -> TimingFigures:
    return TimingFigures(
        median=median,
        mean=median + 0.1,
        std=0.2,
        min=median - 0.3,
        max=median + 1.6,
        p95=median + 0.5,
        p99=median + 1.1,
        samples=100,
        samples_us=(median - 0.3, median, median + 1.6),
    )


def performance(**changes: Any) -> Performance:
    values: dict[str, Any] = {
        "candidate": KernelTiming(
            device=figures(), as_called=figures(52.0), claimed=ClaimedTiming(median=41.1)
        ),
        "reference": KernelTiming(device=figures(95.2), as_called=figures(99.0)),
        "speedup": 2.31,
        "speedup_ci95": (2.28, 2.34),
        "significant": True,
        "timing": "device",
        "method": "graph",
        "cache": "cold",
        "input_sets": 12,
        "noise": 0.004,
        "stop": "noise 0.4% <= 0.5%",
        "audit": Audit(bursts=40, compared=9, failed=0),
        "floor_us": 38.1,
        "peak_memory_bytes": 268435456,
        "setup_us": 12034.0,
        "launches": (
            Launch(
                kernel="softmax_kernel",
                count=1,
                grid=(4096, 1, 1),
                num_warps=8,
                registers=40,
                shared_bytes=1024,
                spills=0,
            ),
        ),
    }
    return Performance(**values | changes)


def correctness() -> Correctness:
    tolerance = ToleranceReport(atol=1e-5, rtol=1e-4)
    output = OutputReport(
        name="y", max_abs_error=1.1e-6, max_rel_error=3e-6, matched_ratio=1.0, tolerance=tolerance
    )
    return Correctness(trials=5, oracle="reference upcast to float64", outputs=(output,))


def workload(**changes: Any) -> WorkloadResult:
    values: dict[str, Any] = {
        "name": "large",
        "axes": {"M": 4096, "N": 8192},
        "status": EvaluationStatus.PASSED,
        "correctness": correctness(),
        "performance": performance(),
    }
    return WorkloadResult(**values | changes)


def passed_values() -> dict[str, Any]:
    return {
        "job_id": "softmax-v7",
        "manifest_sha256": "5" * 64,
        "attempt": 1,
        "labels": {"owner": "rl-loop", "step": "412"},
        "state": "completed",
        "status": EvaluationStatus.PASSED,
        "compiled": True,
        "correct": True,
        "speedup": 2.31,
        "speedup_ci95": (2.28, 2.34),
        "significant": True,
        "workloads": (workload(),),
        "device": DeviceReport(
            kind="cuda",
            name="NVIDIA H100 80GB HBM3",
            index=0,
            uuid="GPU-1",
            arch="sm_90",
            driver="570.1",
            clocks_mhz=ClocksReport(before={"sm": 1980}, after={"sm": 1980}),
            throttled=False,
            other_processes=0,
        ),
        "environment": EnvironmentReport(host="node7", kbd="0.1.0", python="3.12.1", torch="2.8.0"),
        "isolation": IsolationReport(user="kbd-runner", landlock_abi=7, network="none", pids="own namespace"),
        "device_metrics": DeviceMetrics(candidate={"occupancy": {"achieved_percent": 71.5, "limit": None}}),
        "timings_s": StageTimings(
            queued=0.01, compile=0.4, load=0.05, correctness=0.2, timing=0.6, total=1.3
        ),
        "logs": Logs(candidate="hello ✓"),
        "seed": 17,
        "notes": ("uses torch.softmax in a fallback",),
    }


def ended_values(status: EvaluationStatus, stage: Stage, blame: Blame | None) -> dict[str, Any]:
    """A job that ended early, without workloads."""
    error = ErrorReport(type="SyntaxError", message="invalid syntax", hint="look at line 3")
    return {
        "job_id": "j",
        "manifest_sha256": "5" * 64,
        "attempt": 1,
        "state": state_of(status),
        "status": status,
        "stage": stage,
        "blame": blame,
        "error": error,
    }


@pytest.fixture
def make_figures() -> Callable[..., TimingFigures]:
    return figures


@pytest.fixture
def make_performance() -> Callable[..., Performance]:
    return performance


@pytest.fixture
def make_workload() -> Callable[..., WorkloadResult]:
    return workload


@pytest.fixture
def passed() -> Callable[..., JobResult]:
    """Build a passed result with some fields changed."""
    return lambda **changes: JobResult(**passed_values() | changes)


@pytest.fixture
def ended() -> Callable[..., JobResult]:
    """Build a result that ended early with some fields changed."""

    def build(status: EvaluationStatus, stage: Stage, blame: Blame | None, **changes: Any) -> JobResult:
        return JobResult(**ended_values(status, stage, blame) | changes)

    return build
