"""`kbd compare`: what is concluded from two results, and what forbids a conclusion."""

import json
import re

import pytest

from kbd.daemon.cli.comparison import compare
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.outbox.circumstances import ClocksReport, DeviceReport, EnvironmentReport
from kbd.outbox.performance import Audit, KernelTiming
from kbd.outbox.verdict import EvaluationStatus

TASK = json.dumps({"reference": {"source_code": "x"}, "workloads": [], "io": None})
OTHER_REFERENCE = json.dumps({"reference": {"source_code": "y"}, "workloads": [], "io": None})
OTHER_WORKLOADS = json.dumps({"reference": {"source_code": "x"}, "workloads": [{"name": "w"}], "io": None})


@pytest.fixture
def timed(make_result):
    """A passed job of one workload whose candidate takes `candidate_us`; changes go to its performance."""

    def make(job_id, speedup=2.31, interval=(2.28, 2.34), *, candidate_us=41.2, changes=None, **result):
        workload = make_result().workloads[0]
        figures = workload.performance.candidate.as_called
        scale = candidate_us / figures.median
        scaled = figures.model_copy(
            update={
                "median": candidate_us,
                "samples_us": tuple(round(sample * scale, 4) for sample in figures.samples_us),
            }
        )
        candidate = workload.performance.candidate.model_copy(update={"as_called": scaled})
        facts = {"candidate": candidate, "speedup": speedup, "speedup_ci95": interval, **(changes or {})}
        performance = workload.performance.model_copy(update=facts)
        workloads = (workload.model_copy(update={"performance": performance}),)
        significant = interval is not None and not interval[0] <= 1 <= interval[1]
        whole = {"speedup": speedup, "speedup_ci95": interval, "significant": significant}
        return make_result(job_id, **(whole | {"workloads": workloads} | result))

    return make


@pytest.fixture
def alone(timed):
    """A job without a reference."""

    def make(job_id, **options):
        changes = {"reference": None, "significant": None, "timing": None, **options.pop("changes", {})}
        whole = {"significant": None, **options}
        return timed(job_id, None, None, changes=changes, **whole)

    return make


def test_a_candidate_that_is_faster(timed):
    found = compare(timed("a"), timed("b", 2.6, (2.55, 2.65), candidate_us=36.6), TASK, TASK)
    assert found.conclusion.basis == "speedups"
    assert found.conclusion.ratio.value == pytest.approx(2.6 / 2.31)
    assert found.conclusion.significant is True
    assert found.differences == ()


def test_one_that_may_as_well_not_be(timed):
    found = compare(timed("a"), timed("b", 2.34, (2.30, 2.38)), TASK, TASK)
    assert found.conclusion.ratio.value > 1
    assert found.conclusion.significant is False


def test_without_references_the_times_decide(alone):
    near = compare(alone("a"), alone("b", candidate_us=40.9), TASK, TASK).conclusion
    far = compare(alone("a"), alone("b", candidate_us=20.0), TASK, TASK).conclusion
    assert (near.basis, near.significant) == ("times", False)
    assert (far.basis, far.significant) == ("times", True)
    assert far.ratio.value == pytest.approx(41.2 / 20.0)


def test_different_references_leave_the_times(timed):
    found = compare(timed("a"), timed("b", 9.0, (8.9, 9.1)), TASK, OTHER_REFERENCE)
    assert found.conclusion.basis == "times"
    assert found.conclusion.ratio.value == pytest.approx(1.0)
    assert [difference.what for difference in found.differences] == ["reference"]


def test_samples_that_were_not_kept_leave_no_interval(alone):
    bare = alone("a").workloads[0]
    figures = bare.performance.candidate.as_called.model_copy(update={"samples_us": ()})
    candidate = bare.performance.candidate.model_copy(update={"as_called": figures})
    older = alone("b", changes={"candidate": candidate})
    conclusion = compare(alone("a"), older, TASK, TASK).conclusion
    assert conclusion.ratio.value == pytest.approx(1.0)
    assert (conclusion.significant, conclusion.ratio.interval) == (None, None)


def test_a_speedup_without_an_interval_concludes_nothing(timed):
    conclusion = compare(timed("a"), timed("b", 9.0, None), TASK, TASK).conclusion
    assert (conclusion.significant, conclusion.ratio.interval) == (None, None)


def test_a_disturbed_timing_is_not_significant(timed):
    voided = timed("b", 9.0, (8.9, 9.1), significant=False)
    conclusion = compare(timed("a"), voided, TASK, TASK).conclusion
    assert conclusion.significant is False
    assert "b was disturbed" in conclusion.reason


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"device": DeviceReport(kind="cuda", name="H100")}, "not the same device"),
        ({"changes": {"cache": "warm"}}, "not the same cache"),
        ({"changes": {"method": "events"}}, "not the same method"),
        ({"workloads": ()}, "same workloads"),
        ({"interpreted": True}, "interpreter"),
        ({"status": EvaluationStatus.CRASHED}, "did not pass"),
    ],
)
def test_what_forbids_a_conclusion(timed, options, said):
    other = timed("b", **{key: value for key, value in options.items() if key == "changes"})
    changed = other.model_copy(update={key: value for key, value in options.items() if key != "changes"})
    for pair in ((timed("a"), changed), (changed, timed("a"))):
        conclusion = compare(*pair, TASK, TASK).conclusion
        assert (conclusion.ratio, conclusion.significant) == (None, None)
        assert said in conclusion.reason


def test_other_workloads_forbid_a_conclusion(timed):
    other = timed("b")
    assert "workloads" in compare(timed("a"), other, TASK, OTHER_WORKLOADS).conclusion.reason


def test_circumstances_are_warned_about(timed):
    def device(driver, clock, **facts):
        clocks = ClocksReport(after={"sm": clock, "memory": 2619})
        return DeviceReport(kind="cuda", name="H100", driver=driver, clocks_mhz=clocks, **facts)

    def environment(torch):
        return EnvironmentReport(host="box", kbd="0.1.0", python="3.11.7", torch=torch)

    a = timed("a", device=device("550.1", 1980), environment=environment("2.12.0"))
    b = timed(
        "b",
        device=device("560.3", 1410, throttled=True, other_processes=2),
        environment=environment("2.13.0"),
    )
    found = compare(a, b, TASK, TASK)
    told = {difference.what: (difference.a, difference.b) for difference in found.differences}
    assert told == {
        "driver": ("550.1", "560.3"),
        "sm clock": ("1980 MHz", "1410 MHz"),
        "throttled": ("False", "True"),
        "other processes": ("0", "2"),
        "torch": ("2.12.0", "2.13.0"),
    }
    assert found.conclusion.ratio is not None, "warned about, not forbidden"


def test_a_reference_that_has_changed_its_pace(timed):
    b = timed("b")
    workload = b.workloads[0]
    slow = workload.performance.reference.as_called.model_copy(update={"median": 120.0})
    reference = workload.performance.reference.model_copy(update={"as_called": slow})
    found = compare(timed("a"), timed("b", changes={"reference": reference}), TASK, TASK)
    assert [difference.what for difference in found.differences] == ["time of the reference (only)"]


def test_the_page(kbd, has_published, timed, same_as_golden):
    has_published(timed("first"))
    has_published(
        timed(
            "second",
            2.6,
            (2.55, 2.65),
            candidate_us=36.6,
            environment=EnvironmentReport(host="b\x1b[2Jox", kbd="0.1.0", python="3.11.7", torch="2.13.0"),
            changes={"audit": Audit(bursts=30, compared=2, failed=0)},
        )
    )
    ended = kbd("compare", "first", "second")
    assert (ended.code, ended.err) == (0, "")
    assert "\x1b" not in ended.out
    same_as_golden(ended.out, "compare.txt")
    same_as_golden(kbd("compare", "first", "second", "--json").out, "compare.json")


@pytest.mark.parametrize(
    ("b", "said"),
    [
        ((2.6, (2.55, 2.65)), "b is significantly faster than a: 1.13x as fast (1.10x to 1.15x)"),
        ((1.2, (1.15, 1.25)), "b is significantly slower than a: 0.52x as fast (0.50x to 0.54x)"),
        ((2.3, (2.20, 2.40)), "not significant: b is 1.00x as fast as a (0.95x to 1.04x)"),
    ],
)
def test_the_conclusion_in_words(kbd, has_published, timed, b, said):
    has_published(timed("a"))
    has_published(timed("b", *b))
    assert said in kbd("compare", "a", "b").out.splitlines()


def test_a_conclusion_without_an_interval_in_words(kbd, has_published, alone, timed):
    figures = timed("a").workloads[0].performance.candidate.as_called.model_copy(update={"samples_us": ()})
    for job_id in ("a", "b"):
        has_published(alone(job_id, changes={"candidate": KernelTiming(as_called=figures)}))
    lines = kbd("compare", "a", "b").out.splitlines()
    assert "no interval, so this may mean nothing: b is 1.00x as fast as a" in lines
    assert "  compared by their times, which were measured apart" in lines


def test_what_differs_is_told_of_each(kbd, has_remembered, timed):
    slow = timed("a").workloads[0].performance.reference.as_called.model_copy(update={"median": 120.0})
    has_remembered(timed("a"))
    has_remembered(timed("b", changes={"reference": KernelTiming(as_called=slow)}))
    lines = kbd("compare", "a", "b").out.splitlines()
    assert "! time of the reference: 95.1 µs (a), 120 µs (b)" in lines
    assert "  compared by their speed-ups over the same reference" in lines


def test_on_a_terminal_the_conclusion_begins_at_the_margin(kbd, has_published, timed, monkeypatch):
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    has_published(timed("a"))
    has_published(timed("b", 2.6, (2.55, 2.65)))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", kbd("compare", "a", "b").out).splitlines()
    assert "b is significantly faster than a: 1.13x as fast (1.10x to 1.15x)" in lines


def test_the_page_of_what_cannot_be_compared(kbd, has_published, timed, make_failure, same_as_golden):
    has_published(timed("first"))
    has_published(make_failure(EvaluationStatus.CRASHED, "second"))
    same_as_golden(kbd("compare", "first", "second").out, "compare_failed.txt")


def test_jobs_that_are_not_there(kbd, has_published, has_queued, make_result):
    has_published(make_result("a"))
    has_queued("queued")
    assert kbd("compare", "a", "nobody").code == ExitCode.NOT_FOUND
    waiting = kbd("compare", "a", "queued")
    assert (waiting.code, "no result yet" in waiting.err) == (ExitCode.NOT_FOUND, True)
    assert kbd("compare", "a", "a").code == ExitCode.USAGE


def test_the_database_tells_whether_the_references_are_the_same(kbd, has_remembered, timed):
    has_remembered(timed("a"))
    has_remembered(timed("b"))
    assert json.loads(kbd("compare", "a", "b", "--json").out)["differences"] == []
