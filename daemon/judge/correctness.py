"""Correctness of one workload: fresh inputs each trial, the reference's outputs as what is expected.

The reference runs first and in its own process; its outputs are copied into the judge's memory. The candidate
then runs on its own copy of the same inputs. What it returns must have the same tensors, of the same shape and
dtype, and equal values within tolerance; its inputs must be as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from kbd.daemon.executor.runner_protocol import TensorMeta, Values
from kbd.daemon.judge.compare import Comparison, compare, tolerance_for
from kbd.daemon.judge.hosted_kernel import HostedKernel, InputSet
from kbd.daemon.judge.inputs import TrialInputs, input_source
from kbd.daemon.judge.session import Finding, Session
from kbd.daemon.runner.values import meta_of
from kbd.outbox.correctness import Correctness, OutputReport, ToleranceReport
from kbd.outbox.report import ErrorReport
from kbd.outbox.verdict import EvaluationStatus, Stage

ORACLE = "reference"
SET = 0


class Wrong(Exception):
    """The candidate ran, and what it returned is wrong."""

    def __init__(self, status: EvaluationStatus, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.report = ErrorReport(type=status.value, message=message, hint=hint)


class ReferenceUnusable(Exception):
    """The reference ran and gave nothing that could be compared."""


@dataclass
class _Outputs:
    """What is known of the outputs over all trials: the worst comparison of each."""

    names: Sequence[str]
    worst: dict[str, Comparison] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    trials: int = 0

    def note(self, name: str, comparison: Comparison) -> None:
        known = self.worst.get(name)
        if known is None or _badness(comparison) > _badness(known):
            self.worst[name] = comparison

    def report(self) -> Correctness:
        outputs = tuple(
            _output_report(name, self.worst.get(name), self.problems.get(name)) for name in self.names
        )
        return Correctness(trials=max(self.trials, 1), oracle=ORACLE, outputs=outputs)


def check_workload(session: Session, finding: Finding) -> None:
    """All trials of one workload. Raises Wrong, RunnerTrouble or BadData."""
    session.enter(finding)
    source = input_source(session, finding.plan)
    finding.pinned_inputs = source.pinned
    outputs = _Outputs(names=())
    for trial in range(session.request.evaluation.num_correct_trials):
        inputs = source.draw(session.seeds.trial(finding.number, trial), first=trial == 0)
        outputs.trials = trial + 1
        try:
            _check_trial(session, inputs, outputs)
        except Wrong:
            finding.correctness = outputs.report()
            raise
    if session.reference is not None:
        finding.correctness = outputs.report()


def _check_trial(session: Session, inputs: TrialInputs, outputs: _Outputs) -> None:
    expected = None
    if session.reference is not None:
        session.tell(Stage.CORRECTNESS, "reference")
        expected = _run_reference(session.reference, inputs)
        outputs.names = _output_names(session, inputs, expected)
    session.tell(Stage.CORRECTNESS, "candidate")
    found = _run(session.candidate, inputs.candidate)
    if expected is None:
        return
    if expected.in_place:
        tensors = session.candidate.inputs_now(SET, sorted(inputs.may_change))
    else:
        _check_form(expected.metas, found, session.device)
        tensors = session.candidate.fetch_outputs(found)
    _check_values(session, expected, tensors, outputs)
    _check_inputs_unchanged(session, inputs)


def _run(kernel: HostedKernel, inputs: InputSet) -> Values:
    kernel.bind(SET, inputs)
    return kernel.run(SET)


@dataclass(frozen=True)
class Expected:
    """The reference's outputs, copied: what it returned, or (`in_place`) its inout arguments afterwards."""

    metas: Sequence[TensorMeta]
    tensors: list[torch.Tensor]
    in_place: bool = False


def _run_reference(kernel: HostedKernel, inputs: TrialInputs) -> Expected:
    """A reference that returns nothing has worked on its inout arguments. Raises ReferenceUnusable."""
    values = _run(kernel, inputs.reference)
    if values.tensors:
        return Expected(values.tensors, kernel.fetch_outputs(values))
    places = sorted(inputs.may_change)
    if not places:
        raise ReferenceUnusable(
            "the reference returned no tensor and has no argument with role inout: there is nothing to compare"
        )
    tensors = kernel.inputs_now(SET, places)
    return Expected([meta_of(tensor) for tensor in tensors], tensors, in_place=True)


def _output_names(session: Session, inputs: TrialInputs, expected: Expected) -> tuple[str, ...]:
    """Names of the contract's outputs where there are as many, else numbered ones."""
    if expected.in_place:
        return tuple(inputs.names[place] for place in sorted(inputs.may_change))
    contract = session.current.plan.candidate
    named = [arg.name for arg in contract.outputs] if contract is not None else []
    if len(named) == len(expected.tensors):
        return tuple(named)
    return tuple(f"output{place}" for place in range(len(expected.tensors)))


def _check_form(wanted: Sequence[TensorMeta], found: Values, device: torch.device) -> None:
    """As many tensors, of equal shapes, dtypes and device. Raises Wrong."""
    if len(found.tensors) != len(wanted):
        raise Wrong(
            EvaluationStatus.INCORRECT_SHAPE,
            f"expected {_tensors(len(wanted))} from the candidate, found {_tensors(len(found.tensors))}",
            "return what the reference returns, in the same order",
        )
    for place, (want, have) in enumerate(zip(wanted, found.tensors, strict=True)):
        if want.shape != have.shape:
            raise Wrong(
                EvaluationStatus.INCORRECT_SHAPE,
                f"output {place}: expected shape {list(want.shape)}, found {list(have.shape)}",
            )
        if want.dtype != have.dtype:
            raise Wrong(
                EvaluationStatus.INCORRECT_DTYPE,
                f"output {place}: expected dtype {want.dtype}, found {have.dtype}",
                f"convert the output to {want.dtype}",
            )
        if have.device != device.type:
            raise Wrong(
                EvaluationStatus.INCORRECT_OUTPUT,
                f"output {place}: expected on {device.type}, found on {have.device}",
                "return the output on the device of the inputs",
            )


def _tensors(count: int) -> str:
    return {0: "no tensor", 1: "1 tensor"}.get(count, f"{count} tensors")


def _check_values(
    session: Session, expected: Expected, found: Sequence[torch.Tensor], outputs: _Outputs
) -> None:
    """Every output within tolerance. Raises Wrong for the first that is not, with its worst element."""
    asked = session.request.evaluation.tolerance
    for name, want, have in zip(outputs.names, expected.tensors, found, strict=True):
        comparison = compare(want, have, tolerance_for(want, asked.atol, asked.rtol))
        outputs.note(name, comparison)
        if comparison.matched_ratio >= asked.required_matched_ratio and comparison.finite_as_expected:
            continue
        message = _describe(name, comparison)
        outputs.problems[name] = message
        outputs.worst[name] = comparison
        raise Wrong(_status_of(comparison), message)


def _status_of(comparison: Comparison) -> EvaluationStatus:
    if comparison.finite_as_expected:
        return EvaluationStatus.INCORRECT_OUTPUT
    return EvaluationStatus.NON_FINITE


def _describe(name: str, comparison: Comparison) -> str:
    text = (
        f"{name}: {comparison.mismatched} of {comparison.elements} elements "
        f"({comparison.mismatched / comparison.elements:.2%}) are outside the tolerance"
    )
    if comparison.worst is None:
        return text
    return (
        f"{text}; worst at {list(comparison.worst)}: expected {comparison.expected:.9g}, "
        f"found {comparison.found:.9g} "
        f"(atol {comparison.tolerance.atol:.3g}, rtol {comparison.tolerance.rtol:.3g})"
    )


def _check_inputs_unchanged(session: Session, inputs: TrialInputs) -> None:
    for place in session.candidate.changed_inputs(SET, inputs.candidate):
        if place in inputs.may_change:
            continue
        raise Wrong(
            EvaluationStatus.INCORRECT_OUTPUT,
            f"the candidate changed its input {inputs.names[place]}",
            "write to a new tensor, or declare the argument with role: inout",
        )


def _badness(comparison: Comparison) -> tuple[float, float]:
    return 1 - comparison.matched_ratio, comparison.max_abs_error or 0.0


def _output_report(name: str, comparison: Comparison | None, problem: str | None) -> OutputReport:
    if comparison is None:
        return OutputReport(name=name, problem=problem)
    tolerance = ToleranceReport(atol=comparison.tolerance.atol, rtol=comparison.tolerance.rtol)
    return OutputReport(
        name=name,
        max_abs_error=comparison.max_abs_error,
        max_rel_error=comparison.max_rel_error,
        matched_ratio=comparison.matched_ratio,
        tolerance=tolerance,
        problem=problem,
    )
