import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.cli import wording
from kbd.outbox.verdict import EvaluationStatus
from kbd.store.states import JobState


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.00 ns"),
        (0.5, "500 ns"),
        (1.685, "1.69 µs"),
        (41.24, "41.2 µs"),
        (999.4, "999 µs"),
        (1300, "1.30 ms"),
        (2.5e6, "2.50 s"),
    ],
)
def test_microseconds(value, text):
    assert wording.microseconds(value) == text


@given(st.floats(min_value=0, max_value=1e12))
def test_any_time_can_be_written(value):
    number, unit = wording.microseconds(value).split()
    assert float(number) >= 0
    assert unit in ("ns", "µs", "ms", "s")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.014, "0.01 s"), (1.25, "1.2 s"), (75.4, "75 s"), (720, "12 min"), (21_908, "6.1 h")],
)
def test_seconds(value, text):
    assert wording.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(-3, "now"), (0, "now"), (12, "12 s ago"), (60, "1 min ago"), (7_300, "2 h ago"), (200_000, "2 d ago")],
)
def test_age(value, text):
    assert wording.age(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(512, "512 B"), (1536, "1.50 KiB"), (268_435_456, "256 MiB"), (2**60, "1048576.0 TiB")],
)
def test_size(value, text):
    assert wording.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00x"),
        (0.00123, "0.0012x"),
        (0.0501, "0.05x"),
        (0.1234, "0.12x"),
        (2.31, "2.31x"),
        (14.06, "14.1x"),
        (143.2, "143x"),
    ],
)
def test_speedup(value, text):
    assert wording.speedup(value) == text


def test_only_a_pass_is_green():
    green = {status for status in EvaluationStatus if wording.mark_of(status)[1] == "green"}
    assert green == {EvaluationStatus.PASSED}


def test_who_is_not_judged_is_not_red():
    for status in ("invalid_job", "invalid_reference", "device_error", "harness_error", "unsupported"):
        assert wording.mark_of(status) == ("!", "yellow")
    assert wording.mark_of("cancelled")[1] == "dim"


def test_a_queued_job_looks_other_than_a_running_one():
    assert wording.mark_of_state(JobState.SUBMITTED) != wording.mark_of_state(JobState.PROFILING)


def test_counted():
    assert [wording.counted(number, "job") for number in (0, 1, 2)] == ["0 jobs", "1 job", "2 jobs"]
