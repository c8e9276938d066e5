"""`kbd show`: golden pages, and what it does with a job that has no result."""

import json

import pytest

from kbd.daemon.cli.exit_codes import ExitCode
from kbd.outbox.correctness import Correctness, OutputReport, ToleranceReport
from kbd.outbox.report import ErrorReport, Logs, Suspicion
from kbd.outbox.result import WorkloadResult
from kbd.outbox.verdict import EvaluationStatus, Stage


@pytest.fixture
def wrong(make_failure):
    problem = "y: 12% of the elements are wrong; worst at [3, 4]: expected 1, found 2"
    output = OutputReport(
        name="y",
        max_abs_error=1.0,
        max_rel_error=1.0,
        matched_ratio=0.999999,
        tolerance=ToleranceReport(atol=1e-5, rtol=1e-4),
        problem=problem,
    )
    workloads = tuple(
        WorkloadResult(
            name=name,
            axes={"M": size, "N": 8},
            status=status,
            error=error,
            correctness=Correctness(trials=5, oracle="reference", outputs=outputs),
        )
        for name, size, status, error, outputs in (
            (
                "small",
                128,
                EvaluationStatus.PASSED,
                None,
                (output.model_copy(update={"problem": None, "matched_ratio": 1.0}),),
            ),
            ("large", 4096, EvaluationStatus.INCORRECT_OUTPUT, None, (output,)),
        )
    )
    return make_failure(
        EvaluationStatus.INCORRECT_OUTPUT,
        "wrong",
        error=ErrorReport(type="incorrect_output", message=f"large: {problem}"),
        correct=False,
        workloads=workloads,
        attempt=2,
        notes=("a note",),
    )


@pytest.fixture
def hostile(make_failure):
    """Everything a kernel can say is full of what terminals obey."""
    evil = "\x1b[2J\x1b]0;title\x07"
    return make_failure(
        EvaluationStatus.RUNTIME_ERROR,
        "hostile",
        error=ErrorReport(
            type=f"Value{evil}Error",
            message=f"bad{evil}\nvalue",
            hint=f"hint{evil}",
            traceback_tail=f"  File\tx\n{evil}",
        ),
        logs=Logs.of(
            "\n".join(f"line {number}{evil}" for number in range(50)), "10%\r20%\r\n", truncated=True
        ),
    )


@pytest.fixture
def suspicious(make_failure):
    return make_failure(
        EvaluationStatus.SUSPECT,
        "suspicious",
        error=None,
        stage=Stage.TIMING,
        suspect=(Suspicion(rule="below_floor", evidence="1 µs for 2 GiB"),),
        weak_test=("zeros",),
        pinned_inputs=True,
    )


@pytest.fixture
def cases(make_result, wrong, hostile, suspicious):
    return {result.job_id: result for result in (make_result("passed"), wrong, hostile, suspicious)}


@pytest.mark.parametrize("case", ["passed", "wrong", "hostile", "suspicious"])
def test_page(kbd, has_published, cases, same_as_golden, case):
    has_published(cases[case])
    ended = kbd("show", case)
    assert (ended.code, ended.err) == (0, "")
    same_as_golden(ended.out, f"{case}.txt")
    assert "\x1b" not in ended.out


def test_json_is_the_published_text(kbd, spool, has_published, make_result):
    has_published(make_result("a"))
    assert kbd("show", "a", "--json").out == (spool.outbox / "a.json").read_text()


def test_v2(kbd, has_published, make_result):
    has_published(make_result("a"))
    response = json.loads(kbd("show", "a", "--format", "v2").out)
    assert response["kernel_exec_result"]["correctness"] is True
    assert response["kernel_exec_result"]["runtime"] == pytest.approx(0.0412)
    assert response["ref_runtime"]["mean"] == pytest.approx(0.0951)


def test_a_result_that_the_database_still_owes_to_the_outbox(kbd, has_remembered, make_result):
    has_remembered(make_result("owed"))
    assert "passed" in kbd("show", "owed").out


def test_a_job_without_result(kbd, has_queued):
    has_queued("queued")
    ended = kbd("show", "queued")
    assert ended.code == 0
    assert "submitted" in ended.out
    assert "kbd wait queued" in ended.err


@pytest.mark.parametrize("flags", [("--json",), ("--format", "v2")])
def test_a_program_is_told_that_there_is_no_result(kbd, has_queued, flags):
    has_queued("queued")
    ended = kbd("show", "queued", *flags)
    assert (ended.code, ended.out) == (ExitCode.NOT_FOUND, "")


@pytest.mark.parametrize("job_id", ["unknown", "../../etc/passwd", ""])
def test_unknown(kbd, job_id):
    assert kbd("show", job_id).code == ExitCode.NOT_FOUND


def test_one_shape_at_a_time(kbd):
    assert kbd("show", "a", "--json", "--format", "v2").code == ExitCode.USAGE
