import pytest

from kbd.outbox.report import Suspicion
from kbd.outbox.v2_view import NOT_MEASURED, compare_response, evaluate_response
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage

STATISTICS = {"mean", "std", "min", "max", "median", "percentile_95", "percentile_99"}


def test_a_passed_comparison(passed):
    response = compare_response(passed())
    kernel = response["kernel_exec_result"]
    assert set(response) == {"job_id", "kernel_exec_result", "ref_runtime", "pod_name", "pod_ip", "status"}
    assert (response["job_id"], response["status"], response["pod_name"]) == (
        "softmax-v7",
        "completed",
        "node7",
    )
    assert (kernel["compiled"], kernel["correctness"]) == (True, True)
    assert kernel["runtime"] == pytest.approx(0.0413, rel=1e-12)
    assert set(kernel["runtime_stats"]) == set(response["ref_runtime"]) == STATISTICS
    assert response["ref_runtime"]["median"] == pytest.approx(0.0952, rel=1e-12)
    assert (kernel["compilation_error"], kernel["validation_error"]) == (None, None)
    assert kernel["metadata"]["gpu_id"] == 0
    assert kernel["metadata"]["kernel_name"] == "softmax_kernel"
    assert kernel["metadata"]["kbd_status"] == "passed"


def test_a_compile_error(ended):
    result = ended(EvaluationStatus.COMPILE_ERROR, Stage.COMPILE, Blame.CANDIDATE, compiled=False)
    response = compare_response(result)
    kernel = response["kernel_exec_result"]
    assert (kernel["compiled"], kernel["correctness"]) == (False, False)
    assert kernel["compilation_error"] == "SyntaxError: invalid syntax"
    assert kernel["validation_error"] is None
    assert kernel["runtime"] == NOT_MEASURED
    assert kernel["runtime_stats"] is None
    assert set(response["ref_runtime"].values()) == {NOT_MEASURED}


def test_a_wrong_output_says_which(ended, make_workload):
    wrong = make_workload(status=EvaluationStatus.INCORRECT_OUTPUT, performance=None)
    output = wrong.correctness.outputs[0].model_copy(update={"problem": "y differs in 3 of 8 places"})
    compared = wrong.correctness.model_copy(update={"outputs": (output,)})
    result = ended(
        EvaluationStatus.INCORRECT_OUTPUT,
        Stage.CORRECTNESS,
        Blame.CANDIDATE,
        compiled=True,
        correct=False,
        error=None,
        workloads=(wrong.model_copy(update={"correctness": compared}),),
    )
    kernel = evaluate_response(result)["kernel_exec_result"]
    assert kernel["compiled"] is True
    assert kernel["correctness"] is False
    assert kernel["validation_error"] == "incorrect_output; y differs in 3 of 8 places"


def test_a_suspect_result_earns_nothing(ended, make_workload):
    timed = make_workload(status=EvaluationStatus.SUSPECT)
    result = ended(
        EvaluationStatus.SUSPECT,
        Stage.TIMING,
        Blame.CANDIDATE,
        compiled=True,
        correct=True,
        error=None,
        suspect=(Suspicion(rule="floor", evidence="0.1 us under 38.1 us"),),
        workloads=(timed,),
    )
    kernel = compare_response(result)["kernel_exec_result"]
    assert (kernel["correctness"], kernel["runtime"]) == (False, NOT_MEASURED)
    assert kernel["validation_error"] == "floor: 0.1 us under 38.1 us"


def test_a_harness_error_is_a_failed_job(ended):
    response = evaluate_response(ended(EvaluationStatus.HARNESS_ERROR, Stage.LOAD, Blame.HARNESS))
    assert response["status"] == "failed"
    assert "ref_runtime" not in response


def test_a_cancelled_job_without_words(ended):
    result = ended(EvaluationStatus.CANCELLED, None, None, error=None)
    assert evaluate_response(result)["kernel_exec_result"]["validation_error"] == "cancelled"
