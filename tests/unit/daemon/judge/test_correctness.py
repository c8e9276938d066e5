"""Correctness of a workload: what is compared, with what, and what every kind of mistake is called."""

import itertools
import json
import math

import pytest
import torch

from kbd.daemon.judge.correctness import check_workload, require_steady_reference
from kbd.daemon.judge.wrong import ReferenceUnusable, Wrong
from kbd.inbox.contract import IOContract
from kbd.outbox.verdict import EvaluationStatus


def double(x):
    return x + x


@pytest.fixture
def check(make_kernel, make_session, document):
    """Check the first workload of a job; returns the session."""

    def run(candidate, reference=double, job=None, precise=None, **evaluation):
        kernels = [make_kernel("candidate", candidate)]
        kernels.append(make_kernel("reference", reference, precise=precise) if reference else None)
        changes = {"evaluation": {"num_correct_trials": 3, "seed": 7} | evaluation}
        if reference is None:
            changes["reference"] = None
        session = make_session(*kernels, document(**changes | (job or {})))
        session.wrong = None
        try:
            check_workload(session, session.findings[0])
        except Wrong as wrong:
            session.wrong = wrong
        return session

    return run


def contract(*args):
    return {"io": {"args": list(args)}, "workloads": None}


def arg(name, role="input", shape=(4,), dtype="float32", **init):
    spec = {"shape": list(shape), "dtype": dtype} | ({"init": init} if init else {})
    return {"name": name, "type": "tensor", "role": role, "tensor_spec": spec}


def wrong(session, status):
    assert session.wrong is not None
    assert session.wrong.status is status
    assert session.findings[0].correctness is not None
    return session.wrong.report.message


# --- what passes ------------------------------------------------------------------------------------


def test_an_equal_kernel(check):
    session = check(lambda x: 2 * x)
    assert session.wrong is None
    found = session.findings[0].correctness
    assert (found.trials, found.extra_trials) == (3, 2)
    assert found.oracle == "reference (in float64 it fails: it has none)"
    (output,) = found.outputs
    assert output.name == "output0"
    assert (output.matched_ratio, output.max_abs_error, output.problem) == (1.0, 0.0, None)


def test_every_trial_has_other_inputs_and_both_kernels_the_same(check):
    session = check(double)
    candidate, reference = session.candidate.seen, session.reference.seen
    assert len(candidate) == 5
    assert all(torch.equal(mine[0], theirs[0]) for mine, theirs in zip(candidate, reference, strict=True))
    assert len({tuple(seen[0].tolist()) for seen in candidate}) == 4, "the last one repeats one of them"


def test_the_reference_runs_first(check):
    session = check(double)
    assert [role for _, role, _ in session.told] == ["reference", "candidate"] * 5
    assert {workload for _, _, workload in session.told} == {"small"}


def test_the_worst_of_all_trials_is_reported(check):
    errors = iter([1e-6, 3e-6, 2e-6, 0, 0])
    session = check(lambda x: 2 * x + next(errors))
    (output,) = session.findings[0].correctness.outputs
    assert output.max_abs_error == pytest.approx(3e-6, rel=0.2)
    assert output.tolerance.rtol == 1e-4


def test_an_explicit_tolerance_and_ratio(check):
    def mostly(x):
        y = 2 * x
        y[0] += 1
        return y

    ratio = {"tolerance": {"atol": 0.1, "rtol": 0.0, "required_matched_ratio": 0.75}}
    session = check(mostly, **ratio)
    assert session.wrong is None
    (output,) = session.findings[0].correctness.outputs
    assert output.matched_ratio == 0.75
    assert output.tolerance.atol == 0.1
    assert wrong(
        check(mostly, tolerance=ratio["tolerance"] | {"required_matched_ratio": 0.76}),
        EvaluationStatus.INCORRECT_OUTPUT,
    )


def test_outputs_are_called_as_the_contract_calls_them(check):
    job = contract(arg("x"), arg("sum", role="output"), arg("sign", role="output", dtype="bool"))
    session = check(lambda x: (x + x, x > 0), lambda x: (x + x, x > 0), job)
    assert [output.name for output in session.findings[0].correctness.outputs] == ["sum", "sign"]


def test_an_inout_argument_may_be_changed(check):
    session = check(lambda x: x.add_(1), lambda x: x + 1, contract(arg("x", role="inout")))
    assert session.wrong is None


def test_a_reference_that_changes_its_copy_does_not_harm_the_candidate(check):
    assert check(lambda x: x + 1, lambda x: x.add_(1)).wrong is None


def test_a_lone_candidate_is_not_compared(check):
    session = check(lambda x: x * math.nan, None)
    assert session.wrong is None
    assert session.findings[0].correctness is None


def test_pinned_inputs_are_noted(check):
    assert check(double, double, contract(arg("x", kind="ones"))).findings[0].pinned_inputs
    assert not check(double).findings[0].pinned_inputs


# --- what does not ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("candidate", "status", "message"),
    [
        (lambda x: (x, x), "incorrect_shape", "expected 1 tensor from the candidate, found 2 tensors"),
        (lambda x: None, "incorrect_shape", "expected 1 tensor from the candidate, found no tensor"),
        (lambda x: x[:2], "incorrect_shape", "output 0: expected shape [4], found [2]"),
        (lambda x: x.double(), "incorrect_dtype", "output 0: expected dtype float32, found float64"),
        (
            lambda x: x.clone(),
            "incorrect_output",
            "output0: 4 of 4 elements (100.00%) are outside the tolerance",
        ),
        (lambda x: x * math.nan, "non_finite", "found nan"),
        (lambda x: x / 0, "non_finite", "found"),
        (lambda x: 2 * x.zero_(), "incorrect_output", "outside the tolerance"),
    ],
)
def test_mistakes_have_names(check, candidate, status, message):
    assert message in wrong(check(candidate), EvaluationStatus(status))


def test_an_output_on_another_device_is_wrong(check, make_kernel):
    session = check(lambda x: (x + x).to("meta"))
    assert "expected on cpu, found on meta" in wrong(session, EvaluationStatus.INCORRECT_OUTPUT)


def test_a_changed_input_is_wrong_even_if_the_output_is_right(check):
    def spoil(x):
        y = 2 * x
        x.zero_()
        return y

    message = wrong(check(spoil), EvaluationStatus.INCORRECT_OUTPUT)
    assert message == "the candidate changed its input x"


def test_a_candidate_is_not_accused_of_what_the_reference_does(check):
    with pytest.raises(ReferenceUnusable, match="the reference changes its input x in place") as trouble:
        check(lambda x: x.relu_(), lambda x: x.relu_())
    assert "role: inout" in trouble.value.hint


def test_a_change_of_another_input_than_the_references_is_wrong(check):
    def spoil(x, y):
        z = x.add_(1) + y
        y.zero_()
        return z

    session = check(spoil, lambda x, y: x.add_(1) + y, contract(arg("x"), arg("y")))
    assert wrong(session, EvaluationStatus.INCORRECT_OUTPUT) == "the candidate changed its input y"


def test_a_lone_candidate_is_compared_with_nothing(check):
    session = check(lambda x: x.zero_(), None)
    assert session.wrong is None
    assert session.findings[0].correctness is None


def test_the_worst_element_is_shown(check):
    def slip(x):
        y = 2 * x
        y[2] = 5.5
        return y

    message = wrong(check(slip, num_correct_trials=1), EvaluationStatus.INCORRECT_OUTPUT)
    assert "1 of 4 elements (25.00%)" in message
    assert "worst at [2]: expected" in message
    assert "found 5.5" in message


def test_only_the_wrong_output_has_a_problem(check):
    session = check(lambda x: (x + x, x * 0 + 1), lambda x: (x + x, x * 0 + 2), contract(arg("x")))
    assert "output1" in wrong(session, EvaluationStatus.INCORRECT_OUTPUT)
    first, second = session.findings[0].correctness.outputs
    assert (first.problem, first.matched_ratio) == (None, 1.0)
    assert second.matched_ratio == 0.0
    assert "output1" in second.problem


def test_a_mistake_in_a_later_trial_is_found(check):
    trials = iter([0, 0, 1])
    session = check(lambda x: 2 * x + next(trials))
    wrong(session, EvaluationStatus.INCORRECT_OUTPUT)
    assert session.findings[0].correctness.trials == 3


def test_memorised_outputs_of_the_first_trial_do_not_help(check):
    known = []

    def memorise(x):
        if not known:
            known.append(2 * x)
        return known[0].clone()

    session = check(memorise)
    wrong(session, EvaluationStatus.INCORRECT_OUTPUT)
    assert session.findings[0].correctness.trials == 2


@pytest.mark.parametrize("special", [math.inf, -math.inf, math.nan])
def test_special_values_are_expected_where_the_reference_has_them(check, special):
    def kernel(x):
        y = x.clone()
        y[1] = special
        return y

    assert check(kernel, kernel).wrong is None
    wrong(check(lambda x: x.clone(), kernel), EvaluationStatus.INCORRECT_OUTPUT)


# --- more than values -------------------------------------------------------------------------------


def test_float64_decides_where_the_reference_has_such_a_form(check):
    session = check(double, precise=double)
    assert session.findings[0].correctness.oracle == "reference upcast to float64"


def test_the_worst_element_stands_in_the_report(check):
    def slip(x):
        y = 2 * x
        y[2] = math.inf
        return y

    session = check(slip, num_correct_trials=1)
    (output,) = session.findings[0].correctness.outputs
    assert (output.worst.index, output.worst.found) == ((2,), "inf")
    assert output.worst.expected == pytest.approx(2 * float(session.candidate.seen[0][0][2]))


def test_integers_are_reported_whole(check):
    job = contract(arg("x", dtype="int64", kind="full", fill_value=2**62))
    session = check(lambda x: x + 2, lambda x: x + 1, job)
    (output,) = session.findings[0].correctness.outputs
    assert (output.worst.expected, output.worst.found) == (2**62 + 1, 2**62 + 2)


@pytest.mark.parametrize(
    ("candidate", "reference", "message"),
    [
        (lambda x: x.t(), lambda x: x.t().clone(), "output 0 shares memory with the input x"),
        (lambda x: [x + 1] * 2, lambda x: [x + 1, x + 1], "output 1 shares memory with output 0"),
        (lambda x: x.sum().expand(4), lambda x: x.sum().expand(4).clone(), "output 0 is an expanded tensor"),
        (lambda x: (x + 1, 3), lambda x: (x + 1, 2), "beside the tensors, expected 2, found 3"),
        (lambda x: (x + 1, True), lambda x: (x + 1, 1), "beside the tensors, expected 1, found True"),
        (
            lambda x: {"y": x + 1, "z": x * 2},
            lambda x: {"a": x + 1, "b": x * 2},
            "in dicts, expected the keys 'a', 'b', found 'y', 'z'",
        ),
        (lambda x: {"a": {"c": x + 1}}, lambda x: {"a": {"b": x + 1}}, "the keys 'a', 'b', found 'a', 'c'"),
        (lambda x: {1: x + 1}, lambda x: {True: x + 1}, "the keys True, found 1"),
        (lambda x: x + 1, lambda x: (x + 1, "n"), "beside the tensors, expected 'n', found nothing"),
    ],
)
def test_right_values_in_a_wrong_form(check, candidate, reference, message):
    session = check(candidate, reference, contract(arg("x")))
    assert message in wrong(session, EvaluationStatus.INCORRECT_OUTPUT)


@pytest.mark.parametrize(
    ("candidate", "reference"),
    [
        (lambda x: x.view(2, 2), lambda x: x.reshape(2, 2)),
        (lambda x: x.sum().expand(4), lambda x: x.sum().expand(4)),
        (lambda x: [x + 1, None], lambda x: x + 1),
        (lambda x: {"a": x + 1, "b": x}, lambda x: {"b": x, "a": x + 1}),
        (lambda x: [x + 1, x], lambda x: {"b": x, "a": x + 1}),
        (lambda x: {"a": x + 1, "b": x}, lambda x: (x + 1, x)),
        (lambda x: {"a": x + 1, "b": None}, lambda x: {"a": x + 1, "c": [None], "d": ()}),
        (lambda x: (x + 1, math.nan, 1.00001), lambda x: (x + 1, math.nan, 1.0)),
    ],
)
def test_forms_that_the_reference_has_too(check, candidate, reference):
    assert check(candidate, reference, contract(arg("x"))).wrong is None


def test_memory_that_is_shared_without_being_seen_is_found_by_its_effect(check, monkeypatch):
    """As where a kernel has mapped its inputs a second time: addresses tell nothing."""
    monkeypatch.setattr("kbd.daemon.judge.correctness.check_memory", lambda *_: None)
    message = wrong(check(lambda x: x[:2], lambda x: x[:2].clone()), EvaluationStatus.INCORRECT_OUTPUT)
    assert message.endswith(
        "output 0 shares memory with an input, and changes with it; the reference's does not"
    )
    assert check(lambda x: x[:2], lambda x: x[:2]).wrong is None
    assert check(lambda x: x[:2].clone(), lambda x: x[:2]).wrong is None


def test_writing_next_to_a_tensor_is_wrong(check, make_kernel, make_session, document):
    candidate = make_kernel("candidate", double)
    candidate.trespasses = [0]
    session = make_session(candidate, make_kernel("reference", double), document())
    with pytest.raises(Wrong, match="wrote outside of its tensors, next to its input x"):
        check_workload(session, session.findings[0])
    assert session.findings[0].correctness.trials == 1


def test_an_answer_kept_under_a_few_elements_is_found_out(check):
    known = {}
    session = check(lambda x: known.setdefault((float(x[0]), float(x.sum())), 2 * x).clone())
    assert wrong(session, EvaluationStatus.INCORRECT_OUTPUT).startswith(
        "on an earlier input with some elements"
    )


def test_another_answer_to_the_same_input_is_found_out(check):
    seen = set()

    def forgetful(x):
        again = tuple(x.tolist()) in seen
        seen.add(tuple(x.tolist()))
        return 2 * x + again

    message = wrong(check(forgetful), EvaluationStatus.INCORRECT_OUTPUT)
    assert message.startswith("on an earlier input once more, at another address")


def test_inputs_lie_at_two_places(check):
    assert set(check(double).candidate.places) == {0, 1}


def test_a_reference_that_disagrees_with_itself_is_blamed(check):
    counter = iter(range(100))
    with pytest.raises(ReferenceUnusable, match="another answer to the same input"):
        check(double, lambda x: 2 * x + next(counter))


def test_a_reference_is_asked_whether_it_agrees_with_itself(check):
    session = check(double)
    require_steady_reference(session, session.findings[0])
    calls = itertools.count()
    session = check(lambda x: x, lambda x: x + 0 * next(calls))
    session.reference._compute = lambda x: x + next(calls)
    with pytest.raises(ReferenceUnusable, match="another answer to the same input"):
        require_steady_reference(session, session.findings[0])


def test_degenerate_answers_are_told(check):
    assert check(double).findings[0].weak_test == ()
    constant = contract(arg("x"))
    found = check(lambda x: x * 0 + 3, lambda x: x * 0 + 3, constant).findings[0].weak_test
    assert found == ("one constant", "what came out for another input")


def test_one_trial_is_enough_to_find_a_reference_that_ignores_its_input(check):
    job = contract(arg("x"))
    session = check(lambda x: torch.arange(4.0), lambda x: torch.arange(4.0), job, num_correct_trials=1)
    assert session.findings[0].weak_test == ("what came out for another input",)
    found = session.findings[0].correctness
    assert (found.trials, found.extra_trials) == (1, 3)


def test_an_output_has_its_own_tolerance(check):
    output = arg("y", role="output")
    output["tensor_spec"]["tolerance"] = {"atol": 0.5}
    job = contract(arg("x"), output)
    session = check(lambda x: 2 * x + 0.4, job=job)
    assert session.wrong is None
    assert session.findings[0].correctness.outputs[0].tolerance.atol == 0.5


def test_a_candidate_cannot_loosen_the_tolerance(make_kernel, make_session, document):
    output = arg("y", role="output")
    output["tensor_spec"]["tolerance"] = {"atol": 0.5}
    loose = IOContract.model_validate_json(json.dumps({"args": [arg("x"), output]})).bind({})
    kernels = make_kernel("candidate", lambda x: 2 * x + 0.4), make_kernel("reference", double)
    session = make_session(*kernels, document(**contract(arg("x"), arg("y", role="output"))))
    finding = session.findings[0]
    finding.plan = finding.plan.model_copy(update={"candidate": loose})
    with pytest.raises(Wrong):
        check_workload(session, finding)
