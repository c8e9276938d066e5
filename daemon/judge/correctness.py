"""Correctness of one workload: fresh inputs each trial, what the reference makes of them as what is expected.

The reference runs first and in its own process; its outputs are copied into the judge's memory. The candidate
then runs on its own copy of the same inputs. What it returns must have the same tensors, of the same shape and
dtype, in memory of their own, and equal values within tolerance; its inputs must be as they were, and nothing
around its tensors may have been touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kbd.daemon.executor.runner_protocol import Ran
from kbd.daemon.executor.tensor_messages import Values
from kbd.daemon.judge.answer_form import check_form, check_memory
from kbd.daemon.judge.bits import places_that_differ
from kbd.daemon.judge.compare import compare
from kbd.daemon.judge.degenerate import DegenerateAnswers
from kbd.daemon.judge.expected import ExpectedOutput
from kbd.daemon.judge.hosted_kernel import HostedKernel
from kbd.daemon.judge.inputs import TrialInputs, input_source
from kbd.daemon.judge.oracle import Oracle
from kbd.daemon.judge.output_reports import OutputReports
from kbd.daemon.judge.session import Finding, Session
from kbd.daemon.judge.tolerance import AskedTolerance
from kbd.daemon.judge.trials import Trial, plan_trials
from kbd.daemon.judge.wrong import ReferenceUnusable, Wrong
from kbd.daemon.runner.values import meta_of
from kbd.inbox.bound_contract import BoundArg
from kbd.outbox.verdict import EvaluationStatus, Stage


@dataclass(frozen=True)
class Expected:
    """What the reference gave: its outputs, or (`places`) its inout arguments where it returned no tensor."""

    form: Values
    outputs: list[ExpectedOutput]
    places: list[int] | None = None


def check_workload(session: Session, finding: Finding) -> None:
    """All trials of one workload. Raises Wrong, ReferenceUnusable, RunnerTrouble or BadData."""
    session.enter(finding)
    trials = plan_trials(session.request.evaluation.num_correct_trials, session.seeds.plan(finding.number))
    if session.reference is None:
        _run_alone(session, finding, trials)
        return
    _WorkloadCheck(session, finding, session.reference).run(trials)


def _run_alone(session: Session, finding: Finding, trials: Sequence[Trial]) -> None:
    """Without a reference nothing is compared: the candidate only has to run."""
    source = input_source(session, finding.plan)
    finding.pinned_inputs = source.pinned
    asked = session.request.evaluation.num_correct_trials
    for trial in [trial for trial in trials if trial.kind == "fresh"][:asked]:
        inputs = source.draw(session.seeds.trial(finding.number, trial.draw), first=trial.is_first)
        session.tell(Stage.CORRECTNESS, "candidate")
        session.candidate.bind(trial.place, inputs.candidate)
        session.candidate.run(trial.place)


def require_steady_reference(session: Session, finding: Finding) -> None:
    """Raise ReferenceUnusable where the reference gives two answers to one input."""
    assert session.reference is not None
    _WorkloadCheck(session, finding, session.reference).require_steady()


class _WorkloadCheck:
    """One workload being checked."""

    def __init__(self, session: Session, finding: Finding, reference: HostedKernel) -> None:
        self._session, self._finding, self._reference = session, finding, reference
        self._source = input_source(session, finding.plan)
        self._oracle = Oracle(reference)
        self._degenerate = DegenerateAnswers()
        self._reports = OutputReports()
        self._drawn: dict[int, TrialInputs] = {}
        self._fresh = self._extra = 0
        finding.pinned_inputs = self._source.pinned

    def run(self, trials: Sequence[Trial]) -> None:
        wanted_again = {trial.draw for trial in trials if trial.kind != "fresh"}
        for trial in trials:
            inputs = self._inputs(trial, keep=trial.draw in wanted_again)
            if inputs is None:
                continue
            self._fresh += trial.kind == "fresh"
            self._extra += trial.kind != "fresh"
            try:
                self._check(trial, inputs)
            except Wrong as wrong:
                self._conclude()
                raise _explained(wrong, trial) from None
        self._conclude()
        self._finding.weak_test = self._degenerate.passing

    def require_steady(self) -> None:
        """Run the reference twice on the first input. Raises ReferenceUnusable or RunnerTrouble."""
        place = 0
        inputs = self._source.draw(self._session.seeds.trial(self._finding.number, 0), first=True)
        self._require_steady(place, inputs, self._expect(place, inputs))

    def _conclude(self) -> None:
        asked = self._session.request.evaluation.num_correct_trials
        fresh, surplus = min(self._fresh, asked), max(self._fresh - asked, 0)
        self._finding.correctness = self._reports.correctness(fresh, self._extra + surplus, self._oracle.said)

    def _inputs(self, trial: Trial, *, keep: bool) -> TrialInputs | None:
        if trial.kind == "again":
            return self._drawn[trial.draw]
        if trial.kind == "altered":
            return self._source.altered(self._drawn[trial.draw])
        seed = self._session.seeds.trial(self._finding.number, trial.draw)
        inputs = self._source.draw(seed, first=trial.is_first)
        if keep:
            self._drawn[trial.draw] = inputs
        return inputs

    def _check(self, trial: Trial, inputs: TrialInputs) -> None:
        session, candidate, place = self._session, self._session.candidate, trial.place
        session.tell(Stage.CORRECTNESS, "reference")
        expected = self._expect(place, inputs)
        self._reports.names = [output.name for output in expected.outputs]
        self._finding.yardsticks = tuple(output.yardstick for output in expected.outputs)
        if trial.kind == "fresh":
            self._degenerate.judge(expected.outputs, inputs.reference.tensors)
        session.tell(Stage.CORRECTNESS, "candidate")
        candidate.bind(place, inputs.candidate)
        ran = candidate.run(place)
        found = self._found(ran, expected, inputs, place)
        self._check_surroundings(place, inputs)
        try:
            self._check_values(expected, found)
        except Wrong:
            self._require_steady(place, inputs, expected)
            raise
        if expected.places is None:
            check_memory(expected.form, ran.values, inputs.names, inputs.may_change)
        self._check_inputs_unchanged(place, inputs)
        if trial.kind == "again" and expected.places is None and ran.values.tensors:
            self._check_own_memory(place, inputs, expected, found)

    def _expect(self, place: int, inputs: TrialInputs) -> Expected:
        """Have the reference make the expected outputs. Raises ReferenceUnusable."""
        self._reference.bind(place, inputs.reference)
        ran = self._oracle.run(place)
        form, tensors, places = self._reference_outputs(ran, inputs, place)
        names, asked = self._names(inputs, len(tensors), places), self._asked(len(tensors), places)
        return Expected(form, self._oracle.settle(ran, names, tensors, asked, places), places)

    def _reference_outputs(
        self, ran: Ran, inputs: TrialInputs, place: int
    ) -> tuple[Values, list[torch.Tensor], list[int] | None]:
        """A reference that returns nothing has worked on its inout arguments."""
        if ran.values.tensors:
            return ran.values, self._reference.outputs_of(ran), None
        places = sorted(inputs.may_change)
        if not places:
            raise ReferenceUnusable(
                "the reference returned no tensor and has no argument with role inout: "
                "there is nothing to compare"
            )
        tensors = self._reference.inputs_now(place, places)
        form = Values(tree=None, tensors=tuple(meta_of(tensor) for tensor in tensors))
        return form, tensors, places

    def _found(self, ran: Ran, expected: Expected, inputs: TrialInputs, place: int) -> list[torch.Tensor]:
        """The candidate's outputs; its inout arguments where that is what is expected, or all that it gives."""
        candidate = self._session.candidate
        if expected.places is not None:
            return candidate.inputs_now(place, expected.places)
        changed = sorted(inputs.may_change)
        if not ran.values.tensors and len(changed) == len(expected.outputs):
            tensors = candidate.inputs_now(place, changed)
            form = Values(tree=None, tensors=tuple(meta_of(tensor) for tensor in tensors))
            check_form(expected.form.model_copy(update={"tree": None}), form, self._session.device)
            return tensors
        check_form(expected.form, ran.values, self._session.device)
        return candidate.outputs_of(ran)

    def _names(self, inputs: TrialInputs, count: int, places: Sequence[int] | None) -> list[str]:
        """Names of the contract's outputs where there are as many, else numbered ones."""
        if places is not None:
            return [inputs.names[place] for place in places]
        contract = self._finding.plan.candidate
        named = [arg.name for arg in contract.outputs] if contract is not None else []
        return named if len(named) == count else [f"output{place}" for place in range(count)]

    def _asked(self, count: int, places: Sequence[int] | None) -> list[AskedTolerance]:
        """An output's own tolerance, else the job's. The contract that owns the inputs has the say."""
        job = self._session.request.evaluation.tolerance
        contract = self._finding.plan.inputs
        args: Sequence[BoundArg] = ()
        if contract is not None:
            args = contract.outputs if places is None else [contract.input_tensors[place] for place in places]
        own = [arg.tensor.tolerance if arg.tensor is not None else None for arg in args]
        given = own if len(own) == count else [None] * count
        return [AskedTolerance.of(tolerance or job) for tolerance in given]

    def _check_values(self, expected: Expected, found: Sequence[torch.Tensor]) -> None:
        """Every output within tolerance. Raises Wrong for the first that is not, with its worst element."""
        for output, tensor in zip(expected.outputs, found, strict=True):
            comparison = compare(output.tensor, tensor, output.tolerance)
            self._reports.note(output.name, comparison)
            if not output.accepts(comparison):
                status = (
                    EvaluationStatus.INCORRECT_OUTPUT
                    if comparison.finite_as_expected
                    else EvaluationStatus.NON_FINITE
                )
                raise Wrong(status, self._reports.reject(output.name, comparison))

    def _require_steady(self, place: int, inputs: TrialInputs, expected: Expected) -> None:
        """Before a candidate is called wrong: does the reference agree with itself? Raises ReferenceUnusable."""
        self._session.tell(Stage.CORRECTNESS, "reference")
        self._reference.bind(place, inputs.reference)
        ran = self._reference.run(place)
        _, tensors, _ = self._reference_outputs(ran, inputs, place)
        pairs = zip(expected.outputs, tensors, strict=False)
        if len(tensors) == len(expected.outputs) and all(
            tensor.shape == output.tensor.shape
            and output.accepts(compare(output.tensor, tensor, output.tolerance))
            for output, tensor in pairs
        ):
            return
        raise ReferenceUnusable(
            "the reference gives another answer to the same input, so no candidate can be compared with it",
            "make it deterministic: put dropout into eval mode, seed what is random, keep no state between calls",
        )

    def _check_own_memory(
        self, place: int, inputs: TrialInputs, expected: Expected, found: Sequence[torch.Tensor]
    ) -> None:
        """Outputs stay what they are when inputs change, wherever they seem to lie. Raises Wrong."""
        pure = [number for number in range(len(inputs.candidate.tensors)) if number not in inputs.may_change]
        after = self._session.candidate.outputs_with_other_inputs(place, pure)
        views = {overlap.output for overlap in expected.form.overlaps if overlap.kind == "input"}
        for number in places_that_differ(found, after):
            if number not in views:
                raise Wrong(
                    EvaluationStatus.INCORRECT_OUTPUT,
                    f"output {number} shares memory with an input, and changes with it; the reference's does not",
                    "return a tensor of its own, such as .clone() makes",
                )

    def _check_surroundings(self, place: int, inputs: TrialInputs) -> None:
        """Raises Wrong where something was written past a tensor's ends."""
        for argument in self._session.candidate.trespassed(place):
            name = inputs.names[argument] if argument < len(inputs.names) else None
            where = f"its input {name}" if name else self._output_name(argument - len(inputs.names))
            raise Wrong(
                EvaluationStatus.INCORRECT_OUTPUT,
                f"the candidate wrote outside of its tensors, next to {where}",
                "check the bounds of every store: the last block may reach past the end",
            )

    def _output_name(self, number: int) -> str:
        contract = self._finding.plan.candidate
        pure = [arg.name for arg in contract.outputs if not arg.is_input] if contract is not None else []
        return f"its output {pure[number]}" if number < len(pure) else "an output"

    def _check_inputs_unchanged(self, place: int, inputs: TrialInputs) -> None:
        """Raises Wrong for a changed input; ReferenceUnusable where the reference changes the same one."""
        changed = self._session.candidate.changed_inputs(place, inputs.candidate)
        undeclared = [number for number in changed if number not in inputs.may_change]
        if not undeclared:
            return
        by_reference = self._reference.changed_inputs(place, inputs.reference)
        for number in undeclared:
            if number not in by_reference:
                raise Wrong(
                    EvaluationStatus.INCORRECT_OUTPUT,
                    f"the candidate changed its input {inputs.names[number]}",
                    "write to a new tensor, or declare the argument with role: inout",
                )
        raise _works_in_place(inputs.names[undeclared[0]])


def _works_in_place(name: str) -> ReferenceUnusable:
    return ReferenceUnusable(
        f"the reference changes its input {name} in place, as the candidate does, "
        "and no contract says that this is wanted",
        "let the reference work on a new tensor (inplace=False), or describe the arguments in io, with role: inout",
    )


_CIRCUMSTANCES = {
    "altered": (
        "on an earlier input with some elements exchanged",
        "compute from the input itself: an answer may have been kept from an earlier call",
    ),
    "again": (
        "on an earlier input once more, at another address (its first answer was right)",
        "look for a race, for memory that is not initialised, or for an address kept from an earlier call",
    ),
}


def _explained(wrong: Wrong, trial: Trial) -> Wrong:
    circumstances = _CIRCUMSTANCES.get(trial.kind)
    return wrong.explained(*circumstances) if circumstances is not None else wrong
