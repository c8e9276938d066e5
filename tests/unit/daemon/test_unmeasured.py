"""What a job asks for in vain: its result says so, and its verdict stays."""

import pytest

from kbd.daemon.assembly import JobIdentity, refused
from kbd.daemon.unmeasured import NO_COUNTERS, unmeasured, with_unmeasured
from kbd.inbox.evaluation import DeviceMetricsRequest, Evaluation
from kbd.outbox.report import ErrorReport
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage

COUNTERS = DeviceMetricsRequest(enabled=True)


@pytest.fixture
def timeout():
    error = ErrorReport(type="Timeout", message="no answer")
    where = (EvaluationStatus.TIMEOUT, Blame.CANDIDATE, Stage.TIMING)
    result = refused(JobIdentity("j", "a" * 64, 1, {}), *where, error)
    return result.model_copy(update={"notes": ("an older note",)})


def test_nothing_is_said_where_nothing_was_asked_for(timeout):
    assert with_unmeasured(timeout, Evaluation()) == timeout
    assert list(unmeasured(Evaluation())) == []


def test_a_sanitizer_is_a_note_and_the_verdict_stays(timeout):
    found = with_unmeasured(timeout, Evaluation(sanitizer="memcheck"))
    older, note = found.notes
    assert older == "an older note"
    assert "evaluation.sanitizer: memcheck is not run" in note
    assert found.model_copy(update={"notes": timeout.notes}) == timeout


def test_counters_are_unavailable(timeout):
    found = with_unmeasured(timeout, Evaluation(device_metrics=COUNTERS))
    assert found.device_metrics.unavailable == NO_COUNTERS
    assert found.notes == timeout.notes


def test_each_is_told_before_as_well():
    said = list(unmeasured(Evaluation(sanitizer="racecheck", device_metrics=COUNTERS)))
    assert ["racecheck" in line for line in said] == [True, False]
