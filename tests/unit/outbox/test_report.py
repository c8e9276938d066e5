import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kbd.outbox.report import (
    LOG_LIMIT_CHARS,
    MESSAGE_LIMIT_CHARS,
    TRACEBACK_LIMIT_CHARS,
    ErrorReport,
    Logs,
    Suspicion,
)


def test_a_long_message_keeps_its_beginning_and_a_long_traceback_its_end():
    report = ErrorReport(type="E", message="begin" + "m" * 10_000, traceback_tail="t" * 50_000 + "the end")
    assert len(report.message) == MESSAGE_LIMIT_CHARS
    assert report.message.startswith("begin")
    assert "cut" in report.message
    assert report.traceback_tail is not None
    assert len(report.traceback_tail) == TRACEBACK_LIMIT_CHARS
    assert report.traceback_tail.endswith("the end")
    assert "cut" in report.traceback_tail


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=50), st.integers(0, 3000))
def test_every_text_survives_a_round_trip(text, times):
    report = ErrorReport(type="E", message=text * times, traceback_tail=text * times)
    assert ErrorReport.model_validate_json(report.model_dump_json()) == report


def test_logs_keep_both_ends_and_say_so():
    logs = Logs.of("first" + "x" * LOG_LIMIT_CHARS + "last", "short")
    assert len(logs.candidate) <= LOG_LIMIT_CHARS
    assert logs.candidate.startswith("first")
    assert logs.candidate.endswith("last")
    assert logs.reference == "short"
    assert logs.truncated


def test_short_logs_stay_as_they_are():
    assert Logs.of("a", "b") == Logs(candidate="a", reference="b", truncated=False)
    assert Logs.of("a", truncated=True).truncated


def test_logs_over_the_limit_are_refused_when_not_cut():
    with pytest.raises(ValidationError):
        Logs(candidate="x" * (LOG_LIMIT_CHARS + 1))


def test_reports_are_frozen_and_closed():
    report = ErrorReport(type="E", message="m")
    with pytest.raises(ValidationError):
        report.message = "other"
    with pytest.raises(ValidationError):
        ErrorReport(type="E", message="m", unknown=1)
    with pytest.raises(ValidationError):
        Suspicion(rule="", evidence="x")
