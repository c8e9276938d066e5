"""What a result says about its device."""

import os
import platform
from types import SimpleNamespace

import pynvml
import pytest

from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.judge.device_report import CLOCKS, DeviceInspector

UUID = "GPU-1234"


@pytest.fixture
def card(monkeypatch):
    """A card as NVML tells it; `card` holds what it tells, or the error it raises."""
    told = {
        "nvmlDeviceGetName": b"NVIDIA Test 1",
        "nvmlSystemGetDriverVersion": "570.1",
        "nvmlDeviceGetClockInfo": 1000,
        "nvmlDeviceGetCurrentClocksThrottleReasons": 0,
        "nvmlDeviceGetComputeRunningProcesses": [],
    }

    def tell(name):
        def call(*_arguments):
            if isinstance(told[name], Exception):
                raise told[name]
            return told[name]

        return call

    for name in told:
        monkeypatch.setattr(pynvml, name, tell(name))
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", lambda uuid: ("handle of", uuid))
    monkeypatch.setattr(pynvml, "nvmlDeviceIsMigDeviceHandle", lambda handle: pynvml.c_uint(0))
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda *_: (9, 0))
    return told


@pytest.fixture
def inspector(card):
    return DeviceInspector(DeviceTarget(kind="cuda", visible=UUID))


def test_a_cpu():
    inspector = DeviceInspector(DeviceTarget(kind="cpu"))
    inspector.timing_begins()
    report = inspector.report()
    assert (report.kind, report.arch) == ("cpu", platform.machine())
    assert report.name
    assert (report.clocks_mhz, report.throttled, report.uuid) == (None, None, None)


def test_a_card(inspector):
    report = inspector.report()
    assert (report.kind, report.name, report.uuid) == ("cuda", "NVIDIA Test 1", UUID)
    assert (report.arch, report.driver, report.throttled) == ("sm_90", "570.1", False)


def test_clocks_before_and_after(inspector, card):
    inspector.timing_begins()
    card["nvmlDeviceGetClockInfo"] = 500
    clocks = inspector.report().clocks_mhz
    assert clocks.before == dict.fromkeys(CLOCKS, 1000)
    assert clocks.after == dict.fromkeys(CLOCKS, 500)
    assert inspector.sm_mhz() == 500


def test_clocks_that_nobody_tells(inspector, card):
    card["nvmlDeviceGetClockInfo"] = pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    assert inspector.report().clocks_mhz.after == {}
    assert inspector.sm_mhz() is None


@pytest.mark.parametrize(
    ("reasons", "throttled"),
    [
        (pynvml.nvmlClocksThrottleReasonGpuIdle, False),
        (pynvml.nvmlClocksThrottleReasonSwThermalSlowdown, True),
        (pynvml.nvmlClocksThrottleReasonHwSlowdown | 1, True),
        (pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED), None),
    ],
    ids=["idle", "hot", "slowed", "unknown"],
)
def test_throttling(inspector, card, reasons, throttled):
    card["nvmlDeviceGetCurrentClocksThrottleReasons"] = reasons
    assert inspector.report().throttled is throttled


# --- other processes --------------------------------------------------------------------------------


def computing(*pids):
    return [SimpleNamespace(pid=pid, usedGpuMemory=None) for pid in pids]


OURS, STRANGER = os.getpid(), 1


def test_nobody_else(inspector, card):
    card["nvmlDeviceGetComputeRunningProcesses"] = computing(OURS)
    assert inspector.other_processes() == 0
    assert inspector.report().other_processes == 0


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (computing(OURS), computing(OURS), 0),
        (computing(OURS, STRANGER), computing(OURS), 1),
        (computing(OURS), computing(OURS, STRANGER), 1),
        (computing(), computing(OURS, STRANGER), 1),
        (computing(OURS), computing(), None),
        (pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION), computing(OURS), None),
    ],
    ids=["never", "gone", "come", "unknown, then one", "none, then unknown", "not allowed"],
)
def test_others_before_and_after_the_timing(inspector, card, before, after, told):
    card["nvmlDeviceGetComputeRunningProcesses"] = before
    inspector.timing_begins()
    card["nvmlDeviceGetComputeRunningProcesses"] = after
    assert inspector.report().other_processes == told


def test_a_new_job_knows_nothing_of_the_last_one(inspector, card):
    card["nvmlDeviceGetComputeRunningProcesses"] = computing(OURS, STRANGER)
    inspector.timing_begins()
    inspector.job_begins()
    card["nvmlDeviceGetComputeRunningProcesses"] = computing(OURS)
    report = inspector.report()
    assert (report.other_processes, report.clocks_mhz.before) == (0, {})


def test_a_cpu_has_no_list_of_processes():
    assert DeviceInspector(DeviceTarget(kind="cpu")).other_processes() is None
