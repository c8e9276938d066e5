from kbd.outbox.verdict import INCORRECT, SOLE_BLAME, Blame, EvaluationStatus, state_of


def test_the_set_of_verdicts_is_the_published_one():
    assert " ".join(EvaluationStatus) == (
        "passed incorrect_output incorrect_shape incorrect_dtype non_finite compile_error runtime_error crashed "
        "timeout out_of_memory unsupported invalid_job invalid_reference suspect cancelled device_error "
        "harness_error"
    )


def test_states_without_a_verdict_about_the_candidate():
    others = {status: state_of(status) for status in EvaluationStatus if state_of(status) != "completed"}
    assert others == {
        EvaluationStatus.INVALID_JOB: "rejected",
        EvaluationStatus.INVALID_REFERENCE: "failed",
        EvaluationStatus.DEVICE_ERROR: "failed",
        EvaluationStatus.HARNESS_ERROR: "failed",
        EvaluationStatus.CANCELLED: "cancelled",
    }


def test_wrong_outputs_are_always_the_candidates():
    assert {SOLE_BLAME[status] for status in INCORRECT} == {Blame.CANDIDATE}
