import pytest
from pydantic import ValidationError

from kbd.outbox.circumstances import DeviceMetrics, DeviceReport, IsolationReport, StageTimings


def test_what_was_not_looked_at_is_null():
    device = DeviceReport(kind="cpu", name="some processor")
    assert device.throttled is None
    assert device.other_processes is None
    assert device.clocks_mhz is None


@pytest.mark.parametrize(
    "wrong", [{"compile": -0.1}, {"total": float("nan")}, {"queued": "1"}, {"lunch": 1.0}]
)
def test_impossible_times_are_refused(wrong):
    with pytest.raises(ValidationError):
        StageTimings(**wrong)


def test_missing_layers_are_named():
    assert IsolationReport(missing=("seccomp: not built in",)).missing == ("seccomp: not built in",)


def test_metrics_are_plain_values():
    assert DeviceMetrics(candidate={"occupancy": {"achieved": 0.5, "limit": None}}).unavailable is None
    with pytest.raises(ValidationError):
        DeviceMetrics(candidate={"occupancy": {"achieved": [1]}})
