import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kbd.outbox.errors import UnreadableResult
from kbd.outbox.performance import Audit
from kbd.outbox.report import ErrorReport, Suspicion
from kbd.outbox.result import JobResult, result_schema
from kbd.outbox.verdict import INCORRECT, SOLE_BLAME, Blame, EvaluationStatus, Stage, state_of

Status = EvaluationStatus
GOLDEN = Path(__file__).parent / "golden"
ERROR = ErrorReport(type="E", message="m")
EARLY_ENDS = sorted(set(Status) - INCORRECT - {Status.PASSED, Status.SUSPECT, Status.COMPILE_ERROR})


def includes(new, old):
    """Whether all that the old document says is said by the new one; it may say more."""
    if isinstance(old, dict):
        return old.keys() <= new.keys() and all(includes(new[key], value) for key, value in old.items())
    if isinstance(old, list):
        return len(new) == len(old) and all(map(includes, new, old))
    return new == old


def blame_for(status):
    return None if status is Status.CANCELLED else SOLE_BLAME.get(status, Blame.CANDIDATE)


def test_a_passed_result_survives_its_text(passed):
    result = passed()
    assert JobResult.from_json(result.to_json()) == result
    assert result.passed
    assert result.to_json() == passed().to_json()


@pytest.mark.parametrize("status", EARLY_ENDS)
def test_every_early_end_can_be_told(ended, status):
    result = ended(status, Stage.LOAD, blame_for(status))
    assert JobResult.from_json(result.to_json()) == result
    assert not result.passed


@pytest.mark.parametrize("status", EARLY_ENDS)
@pytest.mark.parametrize("state", ["completed", "failed", "cancelled", "rejected"])
def test_a_status_has_one_state(ended, status, state):
    if state == state_of(status):
        ended(status, Stage.LOAD, blame_for(status), state=state)
    else:
        with pytest.raises(ValidationError, match="ends a job as"):
            ended(status, Stage.LOAD, blame_for(status), state=state)


@pytest.mark.parametrize(("status", "right"), sorted(SOLE_BLAME.items()))
@pytest.mark.parametrize("blame", [*Blame, None])
def test_blame_that_cannot_be_is_refused(ended, make_workload, status, right, blame):
    changes = {}
    if status in INCORRECT:
        changes = {"workloads": (make_workload(status=status, performance=None),), "correct": False}
    if status is Status.SUSPECT:
        changes = {"suspect": (Suspicion(rule="floor", evidence="0.1 us under 38.1 us"),)}
    if status is Status.COMPILE_ERROR:
        changes = {"compiled": False}
    if blame is right:
        assert ended(status, Stage.TIMING, blame, **changes).blame is right
    else:
        with pytest.raises(ValidationError, match="blame"):
            ended(status, Stage.TIMING, blame, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"error": ERROR}, "expected none"),
        ({"stage": Stage.TIMING}, "no stage"),
        ({"blame": Blame.CANDIDATE}, "blame"),
        ({"compiled": False}, "not compiled"),
        ({"correct": False}, "expected false for incorrect outputs"),
        ({"correct": None}, "expected correctness in every workload exactly"),
        ({"workloads": ()}, "expected the correctness of a workload"),
        ({"suspect": (Suspicion(rule="r", evidence="e"),)}, "evidence"),
        ({"interpreted": True}, "interpreted"),
        ({"speedup": None}, "no interval"),
        ({"speedup_ci95": (0.5, 2.0)}, "contains 1"),
        ({"job_id": "../x"}, "pattern"),
        ({"job_id": "x\n"}, "pattern"),
        ({"manifest_sha256": "abc"}, "pattern"),
        ({"attempt": -1}, "greater than or equal"),
        ({"schema_version": 2}, "schema_version"),
    ],
)
def test_a_passed_result_cannot_contradict_itself(passed, changes, message):
    with pytest.raises(ValidationError, match=message):
        passed(**changes)


def test_a_speedup_needs_one_from_every_workload(passed, make_workload, make_performance):
    untimed = make_workload(name="small", performance=None)
    with pytest.raises(ValidationError, match="performance of every workload"):
        passed(workloads=(make_workload(), untimed))
    quiet = {"speedup": None, "speedup_ci95": None, "significant": None}
    assert passed(workloads=(make_workload(), untimed), **quiet).speedup is None


def test_a_candidate_alone_passes_without_correctness(passed, make_workload, make_performance):
    quiet = {"speedup": None, "speedup_ci95": None, "significant": None}
    alone = make_workload(
        correctness=None, performance=make_performance(reference=None, timing=None, **quiet)
    )
    result = passed(workloads=(alone,), correct=None, **quiet)
    assert result.correct is None
    with pytest.raises(ValidationError):
        passed(workloads=(alone,), correct=True, **quiet)


def test_a_job_does_not_pass_with_a_workload_that_did_not(passed, make_workload):
    wrong = make_workload(name="small", status=Status.NON_FINITE, performance=None)
    with pytest.raises(ValidationError, match="only passed workloads"):
        passed(workloads=(make_workload(), wrong))


@pytest.mark.parametrize("status", sorted(INCORRECT))
def test_incorrect_outputs(ended, make_workload, status):
    wrong = make_workload(status=status, performance=None)
    result = ended(
        status,
        Stage.CORRECTNESS,
        Blame.CANDIDATE,
        workloads=(wrong,),
        correct=False,
        compiled=True,
        error=None,
    )
    assert JobResult.from_json(result.to_json()) == result
    with pytest.raises(ValidationError, match="expected a workload with this status"):
        ended(status, Stage.CORRECTNESS, Blame.CANDIDATE, correct=False, workloads=(make_workload(),))
    with pytest.raises(ValidationError, match="expected false"):
        ended(status, Stage.CORRECTNESS, Blame.CANDIDATE, workloads=(wrong,), correct=True)


def test_no_speedup_for_what_did_not_pass(ended):
    with pytest.raises(ValidationError, match="only for a job that passed"):
        ended(Status.TIMEOUT, Stage.TIMING, Blame.CANDIDATE, speedup=2.0)


@pytest.mark.parametrize("status", sorted(set(EARLY_ENDS) - {Status.CANCELLED}))
def test_what_went_wrong_is_said(ended, status):
    with pytest.raises(ValidationError, match="expected an error"):
        ended(status, Stage.LOAD, blame_for(status), error=None)
    with pytest.raises(ValidationError, match="expected the stage"):
        ended(status, None, blame_for(status))


def test_a_cancelled_job_needs_neither_error_nor_stage(ended):
    assert ended(Status.CANCELLED, None, None, error=None).state == "cancelled"


def test_a_compile_error_has_not_compiled(ended):
    with pytest.raises(ValidationError, match="compiled false"):
        ended(Status.COMPILE_ERROR, Stage.COMPILE, Blame.CANDIDATE, compiled=True)


def test_suspect_names_its_evidence(ended):
    with pytest.raises(ValidationError, match="evidence"):
        ended(Status.SUSPECT, Stage.TIMING, Blame.CANDIDATE)


@pytest.mark.parametrize(
    ("status", "parts", "message"),
    [
        (Status.PASSED, {"error": ERROR}, "expected none"),
        (Status.INCORRECT_OUTPUT, {"correctness": None, "performance": None}, "outputs were compared"),
        (Status.INCORRECT_OUTPUT, {}, "failed burst"),
        (Status.COMPILE_ERROR, {"performance": None, "error": ERROR}, "nothing ran"),
        (Status.RUNTIME_ERROR, {"error": ERROR}, "no performance"),
        (Status.RUNTIME_ERROR, {"performance": None}, "expected an error"),
    ],
)
def test_a_workload_cannot_contradict_itself(make_workload, status, parts, message):
    with pytest.raises(ValidationError, match=message):
        make_workload(status=status, **parts)


def test_a_wrong_burst_makes_the_workload_incorrect(make_workload, make_performance):
    caught = make_performance(audit=Audit(bursts=40, compared=9, failed=1))
    assert make_workload(status=Status.INCORRECT_OUTPUT, performance=caught).performance == caught
    with pytest.raises(ValidationError, match="timed burst was wrong"):
        make_workload(status=Status.PASSED, performance=caught)


@given(st.text(max_size=80))
def test_texts_that_are_no_result_are_unreadable(text):
    with pytest.raises(UnreadableResult, match="schema version 1"):
        JobResult.from_json(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{bad", "found no JSON: it is damaged"),
        ("", "found no JSON: it is damaged"),
        ('{"schema_version": 2}', "a newer kbd wrote it"),
        ("{}", "found something else at job_id: it is damaged, or a newer kbd wrote it"),
        ("[]", "found something else: it is damaged"),
    ],
)
def test_what_is_no_result_is_told_in_plain_words(text, said):
    with pytest.raises(UnreadableResult) as error:
        JobResult.from_json(text)
    assert said in str(error.value)
    assert "JobResult" not in str(error.value)
    assert "pydantic" not in str(error.value)


def test_the_first_result_ever_stays_readable():
    """The file is never written anew: it stands for those that users have kept."""
    text = (GOLDEN / "first.json").read_text(encoding="utf-8")
    assert includes(json.loads(JobResult.from_json(text).to_json()), json.loads(text))


def test_the_text_of_a_result(passed, same_as_golden):
    same_as_golden(passed().to_json(), "result.json")


def test_numbers_share_a_line_and_texts_are_left_alone(passed):
    text = '[\n      1,\n      2\n    ] "[\n  1\n]'
    result = passed(labels={"said": text}, speedup_ci95=(2.28, 2.34))
    assert JobResult.from_json(result.to_json()) == result
    assert '"speedup_ci95": [2.28, 2.34],\n' in result.to_json()


def test_the_schema_names_every_field_of_a_result(passed):
    schema = result_schema()
    assert set(schema["required"]) == set(json.loads(passed().to_json()))
    assert schema["additionalProperties"] is False
