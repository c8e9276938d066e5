"""One evaluation in the making: who takes part, what has been found so far."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from kbd.daemon.executor.protocol import Evaluate, Role, WorkloadPlan
from kbd.daemon.judge.alone_times import AloneTimes
from kbd.daemon.judge.device_report import DeviceInspector
from kbd.daemon.judge.expected import Yardstick
from kbd.daemon.judge.hosted_kernel import HostedKernel
from kbd.daemon.judge.seeds import Seeds
from kbd.daemon.judge.verdict import JudgeTimings, Verdict, overall
from kbd.inbox.bound_contract import BoundContract
from kbd.outbox.circumstances import DeviceReport
from kbd.outbox.correctness import Correctness
from kbd.outbox.performance import Launch, Performance
from kbd.outbox.result import WorkloadResult
from kbd.outbox.verdict import INCORRECT, EvaluationStatus, Stage

Tell = Callable[[Stage, Role | None, str | None], None]
Lease = Callable[[], contextlib.AbstractContextManager[None]]


@dataclass
class Finding:
    """What is known about one workload. `sm_mhz`: the device's clock at the end of its timing."""

    number: int
    plan: WorkloadPlan
    correctness: Correctness | None = None
    performance: Performance | None = None
    pinned_inputs: bool = False
    weak_test: tuple[str, ...] = ()
    launches: tuple[Launch, ...] = ()
    yardsticks: tuple[Yardstick, ...] = ()
    sm_mhz: int | None = None

    def withhold_speedup(self, why: str) -> None:
        """Let no speed-up be told of it; the times stand."""
        assert self.performance is not None
        nothing = dict.fromkeys(("speedup", "speedup_ci95", "significant", "timing", "noise"))
        stop = f"{self.performance.stop}; {why}"
        self.performance = self.performance.model_copy(update=nothing | {"stop": stop})


@dataclass
class Session:
    """One evaluation. `tell` reports what the judge is waiting for; `lease` holds the device for timing.

    `end_candidate` begins to end the candidate's process, and returns what waits until it is gone. `alone_times`
    are remembered from job to job. `lacked_memory`: with all of the device's memory it would have been judged
    otherwise.
    """

    request: Evaluate
    device: torch.device
    candidate: HostedKernel
    reference: HostedKernel | None
    report_progress: Tell
    lease: Lease
    inspector: DeviceInspector
    end_candidate: Callable[[], Callable[[], None]]
    alone_times: AloneTimes = field(default_factory=AloneTimes)
    seeds: Seeds = field(init=False)
    findings: list[Finding] = field(init=False)
    stage: Stage = Stage.LOAD
    compiled: bool | None = None
    device_report: DeviceReport | None = None
    notes: list[str] = field(default_factory=list)
    lacked_memory: bool = False

    def __post_init__(self) -> None:
        self.seeds = Seeds(self.request.evaluation.seed)
        self.findings = [Finding(number, plan) for number, plan in enumerate(self.request.workloads)]
        self.current = self.findings[0]

    @property
    def folder(self) -> Path | None:
        """The job's folder, for data files beside the manifest."""
        return Path(self.request.folder) if self.request.folder else None

    def contracts(self, role: Role) -> list[BoundContract]:
        """The contracts that a kernel is called by, one for each workload; none where the job has no contract."""
        found = (getattr(plan, role) for plan in self.request.workloads)
        return [contract for contract in found if contract is not None]

    def tell(self, stage: Stage, role: Role | None = None) -> None:
        """Report what is being waited for."""
        self.report_progress(stage, role, self.current.plan.name if len(self.findings) > 1 else None)

    def note(self, text: str) -> None:
        """A remark on the job; of several workloads one is enough."""
        if text not in self.notes:
            self.notes.append(text)

    def enter(self, finding: Finding) -> None:
        """From here on, troubles belong to this workload, and the kernels are called by its contracts."""
        self.current = finding
        for kernel in filter(None, (self.candidate, self.reference)):
            kernel.workload = finding.number

    def passed(self, timings: JudgeTimings) -> Verdict:
        """Every stage that was asked for went well."""
        return self.verdict(
            timings,
            status=EvaluationStatus.PASSED,
            **overall([finding.performance for finding in self.findings]),
        )

    def verdict(self, timings: JudgeTimings, *, status: EvaluationStatus, **fields: Any) -> Verdict:
        """A verdict with all that has been found."""
        if status is EvaluationStatus.COMPILE_ERROR:
            self.compiled = False
        return Verdict(
            status=status,
            compiled=self.compiled,
            correct=self._correct(status),
            workloads=self._workloads(status, fields.get("error")),
            device=self.device_report or self.inspector.report(),
            timings=timings,
            seed=self.seeds.job,
            pinned_inputs=any(finding.pinned_inputs for finding in self.findings),
            weak_test=self._weak_test(),
            notes=tuple(self.notes),
            lacked_memory=self.lacked_memory,
            **fields,
        )

    def _weak_test(self) -> tuple[str, ...]:
        """What would have passed as well; with the workload, where that is not so in all of them."""
        said: list[str] = []
        for guess in dict.fromkeys(guess for finding in self.findings for guess in finding.weak_test):
            fooled = [finding.plan.name for finding in self.findings if guess in finding.weak_test]
            everywhere = len(fooled) == len(self.findings)
            said.append(guess if everywhere else f"{guess} (in {', '.join(fooled)})")
        return tuple(said)

    def _correct(self, status: EvaluationStatus) -> bool | None:
        if status in INCORRECT:
            return False
        compared = [finding.correctness is not None for finding in self.findings]
        return True if all(compared) else None

    def _workloads(self, status: EvaluationStatus, error: Any) -> tuple[WorkloadResult, ...]:
        """Findings up to the one that decided; those after it were not reached."""
        results: list[WorkloadResult] = []
        for finding in self.findings:
            decided = finding is self.current and status is not EvaluationStatus.PASSED
            if decided or finding.correctness or finding.performance:
                results.append(_result(finding, status if decided else EvaluationStatus.PASSED, error))
        return tuple(results)


def _result(finding: Finding, status: EvaluationStatus, error: Any) -> WorkloadResult:
    keeps_correctness = status is not EvaluationStatus.COMPILE_ERROR
    keeps_performance = status in {EvaluationStatus.PASSED, EvaluationStatus.SUSPECT}
    return WorkloadResult(
        name=finding.plan.name,
        axes=finding.plan.axes,
        status=status,
        correctness=finding.correctness if keeps_correctness else None,
        performance=finding.performance if keeps_performance else None,
        error=error if status is not EvaluationStatus.PASSED else None,
    )
