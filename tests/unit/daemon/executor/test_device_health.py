"""A device after a bad job: memory that is not back, and what the driver reported."""

import asyncio
import os

import pytest
import structlog

from kbd.daemon.executor import device_health
from kbd.daemon.executor.device_health import PROCESS_BYTES, TOLERANCE_BYTES, DeviceHealth

GIB = 1 << 30
HERE = os.getpid()


@pytest.fixture
def gpu(host, monkeypatch):
    monkeypatch.setattr(device_health, "PATIENCE_S", 0.0)
    return host.gpu("GPU-1", used=3 * GIB, pids=[HERE])


@pytest.fixture
def health(gpu):
    health = DeviceHealth("GPU-1")
    health.remember()
    return health


@pytest.fixture
def problem(health, on_loop):
    def ask(processes=1, *, alone=True, judge=HERE):
        return on_loop(health.problem(processes=processes, judge=judge, alone=alone, job="j"))

    return ask


def test_all_is_well(problem):
    assert problem() is None


@pytest.mark.parametrize("processes", [1, 3])
def test_what_our_own_processes_hold_is_explained(problem, gpu, processes):
    gpu.used += processes * PROCESS_BYTES + TOLERANCE_BYTES
    assert problem(processes) is None
    gpu.used += 64 << 20
    assert problem(processes) == (
        "64 MiB of its memory did not come back, and no process is known to hold them"
    )


def test_memory_that_comes_back_in_a_moment(problem, gpu, monkeypatch):
    monkeypatch.setattr(device_health, "PATIENCE_S", 60.0)
    sleep = asyncio.sleep

    async def freed_meanwhile(seconds):
        gpu.used -= 10 * GIB
        await sleep(0)

    monkeypatch.setattr(device_health.asyncio, "sleep", freed_meanwhile)
    gpu.used += 40 * GIB
    assert problem() is None
    assert gpu.used <= 5 * GIB


@pytest.mark.parametrize("pids", [[HERE, 1], [], [HERE, 1 << 30]], ids=["another", "unseen", "unknown"])
def test_memory_that_others_may_hold_is_theirs_from_now_on(problem, gpu, pids):
    gpu.pids = pids
    gpu.used += 40 * GIB
    with structlog.testing.capture_logs() as records:
        assert problem() is None
        assert problem() is None
    assert [(each["action"], each["job"]) for each in records] == [("device_memory_foreign", "j")], (
        "told once"
    )


def test_memory_says_nothing_while_another_job_runs(problem, gpu):
    gpu.used += 40 * GIB
    assert problem(alone=False) is None


def test_errors_that_a_kernel_causes_are_told_and_harm_nobody(problem, gpu):
    gpu.xids += [31, 43]
    with structlog.testing.capture_logs() as records:
        assert problem() is None
    assert [(each["action"], each["xids"], each["job"]) for each in records] == [("xid", [31, 43], "j")]


@pytest.mark.fault("a device is lost")
def test_errors_of_the_device_take_it_out(problem, gpu):
    gpu.xids += [31, 79]
    assert problem() == "the driver reported Xid 79; the GPU may need a reset"
    assert problem() is None, "told once; the next probe decides"


def test_an_instance_has_the_events_of_its_card_and_memory_of_its_own(host, on_loop, monkeypatch):
    monkeypatch.setattr(device_health, "PATIENCE_S", 0.0)
    gpu = host.gpu("GPU-1", mig_mode=1, instances=[host.instance("MIG-a", used=GIB, pids=[HERE])])
    health = DeviceHealth("MIG-a")
    health.remember()
    gpu.xids.append(48)
    assert "Xid 48" in on_loop(health.problem(processes=1, judge=HERE, alone=True))
    gpu.used += 40 * GIB
    assert on_loop(health.problem(processes=1, judge=HERE, alone=True)) is None
    gpu.instances[0].used += 40 * GIB
    assert "did not come back" in on_loop(health.problem(processes=1, judge=HERE, alone=True))


@pytest.mark.parametrize("refused", ["nvmlEventSetCreate", "nvmlDeviceRegisterEvents", "nvmlEventSetWait"])
def test_a_driver_without_events(host, gpu, on_loop, refused):
    host.refuses = {refused}
    gpu.xids.append(79)
    health = DeviceHealth("GPU-1")
    health.remember()
    assert on_loop(health.problem(processes=1, judge=HERE, alone=True)) is None


def test_a_driver_that_does_not_tell_its_memory(host, gpu, problem):
    gpu.used += 40 * GIB
    host.refuses = {"nvmlDeviceGetMemoryInfo"}
    assert problem() is None


def test_a_device_that_nvml_does_not_know(host, on_loop):
    health = DeviceHealth("GPU-9")
    health.remember()
    assert on_loop(health.problem(processes=1, judge=HERE, alone=True)) is None
