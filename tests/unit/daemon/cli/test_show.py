"""`kbd show`: golden pages, and what it does with a job that has no result."""

import io
import json
import re
import sys

import pytest
from rich.console import Console

from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.samples_plot import legend, plot
from kbd.daemon.cli.verdict_page import print_verdict
from kbd.outbox.correctness import Correctness, OutputReport, ToleranceReport, WorstElement
from kbd.outbox.performance import Audit, Launch
from kbd.outbox.report import ErrorReport, Logs, MemoryReport, Suspicion
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
def short_of_memory(make_failure):
    """Its second workload failed otherwise than the job's error tells; an output names its worst element alone."""
    output = OutputReport(
        name="y", matched_ratio=0.5, worst=WorstElement(index=(1, 2), expected="nan", found=0.25)
    )
    workload = WorkloadResult(
        name="large",
        axes={"N": 8},
        status=EvaluationStatus.OUT_OF_MEMORY,
        correctness=Correctness(trials=1, oracle="reference", outputs=(output,)),
        error=ErrorReport(type="OutOfMemory", message="no room for\nthe\x1b[2J scratch"),
    )
    memory = MemoryReport(where="device", needed_bytes=3 << 30, free_bytes=1 << 30)
    error = ErrorReport(type="out_of_memory", message="out of memory", hint="a smaller N", memory=memory)
    return make_failure(
        EvaluationStatus.OUT_OF_MEMORY,
        "short_of_memory",
        error=error,
        workloads=(workload,),
        labels={"run": "seven\x1b[2J"},
    )


@pytest.fixture
def cases(make_result, wrong, hostile, suspicious, short_of_memory):
    results = (make_result("passed"), wrong, hostile, suspicious, short_of_memory)
    return {result.job_id: result for result in results}


@pytest.mark.parametrize("case", ["passed", "wrong", "hostile", "suspicious", "short_of_memory"])
def test_page(kbd, has_published, cases, same_as_golden, case):
    has_published(cases[case])
    ended = kbd("show", case)
    assert (ended.code, ended.err) == (0, "")
    same_as_golden(ended.out, f"{case}.txt")
    assert "\x1b" not in ended.out


def test_the_plot_of_the_samples(kbd, has_published, make_result, same_as_golden):
    pytest.importorskip("plotext", reason="draws the samples")
    has_published(make_result("plotted", workloads=(everything(make_result),)))
    ended = kbd("show", "plotted", "--plot")
    assert (ended.code, ended.err) == (0, "")
    assert "\x1b" not in ended.out
    same_as_golden(ended.out, "plotted.txt")


def test_colours_of_the_plot_follow_the_terminal(make_result, monkeypatch):
    pytest.importorskip("plotext", reason="draws the samples")
    monkeypatch.setenv("TERM", "xterm-256color")
    screens = []
    for no_colour in (False, True):
        monkeypatch.delenv("NO_COLOR", raising=False)
        if no_colour:
            monkeypatch.setenv("NO_COLOR", "1")
        screen = io.StringIO()
        print_verdict(make_result("a"), Console(file=screen, force_terminal=True, width=80), plotted=True)
        screens.append(screen.getvalue())
    coloured, plain = screens
    assert re.search("\x1b\\[[0-9;]*m•", coloured)
    assert not re.search("\x1b\\[[0-9;]*(3[0-7]|9[0-7]|38;)", plain)
    assert strip_control(plain) == strip_control(coloured)
    assert max(map(len, strip_control(plain).splitlines())) <= 80


def test_few_outliers_do_not_flatten_the_plot(make_result):
    pytest.importorskip("plotext", reason="draws the samples")
    figures = make_result().workloads[0].performance.headline("candidate")
    odd = figures.model_copy(update={"samples_us": (*figures.samples_us[:-1], 9_999.0)})
    lines = [line.plain for line in plot({"candidate": odd}, 60)]
    assert "ms" not in "".join(lines)
    assert "1 sample above 124 µs" in legend({"candidate": odd}).plain


def test_a_result_without_samples_says_so(kbd, has_published, make_failure):
    pytest.importorskip("plotext", reason="draws the samples")
    has_published(make_failure(EvaluationStatus.CRASHED, "a"))
    assert "no timing samples" in kbd("show", "a", "--plot").err


def test_a_host_without_plotext(kbd, has_published, make_result, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotext", None)
    has_published(make_result("a"))
    ended = kbd("show", "a", "--plot")
    assert ended.code == ExitCode.UNUSABLE
    assert "pip install plotext" in ended.err
    assert kbd("show", "a").code == 0


def everything(make_result):
    """A workload of which everything is known that a page can say."""
    workload = make_result().workloads[0]
    launches = (
        Launch(
            kernel="soft\x1b[2Jmax", count=2, grid=(64, 1, 1), num_warps=8, registers=40, shared_bytes=2048
        ),
        *(Launch(kernel=f"k{number}", count=1, block=(32, 1, 1)) for number in range(9)),
    )
    audit = Audit(bursts=30, compared=4, failed=0)
    performance = workload.performance.model_copy(
        update={"launches": launches, "audit": audit, "floor_us": 2.0, "pairs": (2.31, 0.98, 2.4)}
        | {"processes_us": (41.0, 41.2, 43.1), "reference_alone_us": 95.0}
    )
    return workload.model_copy(update={"performance": performance})


def strip_control(text):
    return re.sub("\x1b\\[[0-9;]*m", "", text)


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
