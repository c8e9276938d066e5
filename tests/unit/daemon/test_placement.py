from types import SimpleNamespace

import pytest

from kbd.backends.base import Target
from kbd.daemon.devices import Device
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.placement import placed, target_for, target_of, why_impossible
from kbd.inbox.manifest import DeviceRequest
from kbd.outbox.circumstances import DeviceReport


def worker(name, kind, arch):
    device = Device(name, name, DeviceTarget(kind=kind))
    report = DeviceReport(kind=kind, name=name, arch=arch) if arch else None
    return SimpleNamespace(device=device, judge=SimpleNamespace(device=report))


H100 = worker("NVIDIA H100 80GB HBM3", "cuda", "sm_90")
A100 = worker("NVIDIA A100-SXM4-40GB", "cuda", "sm_80")
CPU = worker("AMD EPYC 7B13", "cpu", "x86_64")
COLD = worker("NVIDIA H200", "cuda", None)
ALL = (CPU, A100, H100)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (DeviceRequest(), CPU),
        (DeviceRequest(kind="cuda"), A100),
        (DeviceRequest(kind="cpu"), CPU),
        (DeviceRequest(name="*H100*"), H100),
        (DeviceRequest(name="*h100*"), H100),
        (DeviceRequest(name="NVIDIA*"), A100),
        (DeviceRequest(name="H100"), None),
        (DeviceRequest(arch="sm_90"), H100),
        (DeviceRequest(name="*A100*", arch="sm_90"), None),
        (DeviceRequest(kind="cpu", name="*H100*"), None),
        (DeviceRequest(name="NVIDIA [AH]100*", arch="sm_90"), H100),
    ],
)
def test_what_a_manifest_asks_for(request_, expected):
    assert placed(request_, ALL) is expected
    assert (why_impossible(request_, ALL) is None) == (expected is not None)


def test_a_busy_device_is_waited_for():
    wanted = DeviceRequest(name="*H100*")
    assert placed(wanted, [CPU, A100]) is None
    assert why_impossible(wanted, ALL) is None


def test_an_architecture_that_is_not_known_yet_is_neither_right_nor_wrong():
    wanted = DeviceRequest(arch="sm_90")
    assert placed(wanted, [COLD]) is None
    assert why_impossible(wanted, [COLD]) is None
    assert why_impossible(DeviceRequest(kind="cpu"), [COLD]) is not None
    assert placed(DeviceRequest(name="*H200*"), [COLD]) is COLD


def test_the_reason_names_what_was_asked_for_and_what_is_there():
    reason = why_impossible(DeviceRequest(kind="cuda", name="*B200*", arch="sm_100"), [*ALL, H100, COLD])
    assert reason is not None
    for part in ("device.kind 'cuda'", "device.name '*B200*'", "device.arch 'sm_100'", "AMD EPYC 7B13"):
        assert part in reason
    assert "sm_80" in reason
    assert "unknown" in reason
    assert reason.count("H100") == 1
    assert "no device" in (why_impossible(DeviceRequest(), []) or "")


def known(arch, *, busy=False, problem=None):
    """A card whose architecture NVML has told."""
    device = Device(arch, arch, DeviceTarget(kind="cuda", arch=arch))
    judge = SimpleNamespace(device=None)
    return SimpleNamespace(device=device, judge=judge, job_id="j" if busy else None, problem=problem)


@pytest.mark.parametrize(
    ("request_", "workers", "target"),
    [
        (DeviceRequest(), [known("sm_90")], Target("cuda", "sm_90")),
        (DeviceRequest(), [known("sm_80", busy=True), known("sm_90")], Target("cuda", "sm_90")),
        (DeviceRequest(), [known("sm_80", problem="dead"), known("sm_90")], Target("cuda", "sm_90")),
        (DeviceRequest(), [known("sm_80", busy=True)], Target("cuda", "sm_80")),
        (DeviceRequest(arch="sm_80"), [known("sm_90"), known("sm_80", busy=True)], Target("cuda", "sm_80")),
        (DeviceRequest(kind="cpu"), [known("sm_90")], None),
    ],
)
def test_what_a_job_is_compiled_for(request_, workers, target):
    assert target_for(request_, workers) == target


def test_a_processor_has_no_architecture_to_compile_for():
    assert target_of(CPU) == Target("cpu")
    assert target_of(H100) == Target("cuda", "sm_90")
