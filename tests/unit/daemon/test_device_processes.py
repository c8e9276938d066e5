"""Whose processes compute on a device, and when that cannot be known."""

import os
import subprocess
import sys

import pytest

from kbd.daemon.device_processes import descends, other_processes

HERE = os.getpid()


@pytest.fixture
def child():
    """A process of ours, with a name that looks like the end of its status line."""
    code = "import ctypes; ctypes.CDLL(None).prctl(15, b') R 1 (', 0, 0, 0); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        yield process.pid
        process.kill()


@pytest.fixture
def gone():
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


def test_kinship(child, gone):
    assert descends(HERE, HERE) is True
    assert descends(child, HERE) is True
    assert descends(os.getppid(), HERE) is False
    assert descends(1, HERE) is False
    assert descends(gone, HERE) is None


def test_a_daemon_that_is_the_first_process_of_a_container_has_a_family():
    assert descends(HERE, 1) is True


@pytest.mark.parametrize(
    ("others", "count"), [((), 0), ((os.getppid(),), 1), ((os.getppid(), 1), 2)], ids=["none", "one", "two"]
)
def test_others_are_counted_and_our_own_are_not(host, child, others, count):
    gpu = host.gpu("GPU-1", pids=[HERE, child, *others])
    host.nvmlInit()
    assert other_processes(gpu, witness=HERE, family=HERE) == count


def test_a_process_of_ours_that_nvml_does_not_name_makes_all_of_it_unknown(host):
    gpu = host.gpu("GPU-1", pids=[1])
    host.nvmlInit()
    assert other_processes(gpu, witness=HERE, family=HERE) is None
    gpu.pids = []
    assert other_processes(gpu, witness=HERE, family=HERE) is None


def test_an_id_of_another_namespace_makes_all_of_it_unknown(host, gone):
    gpu = host.gpu("GPU-1", pids=[HERE, gone])
    host.nvmlInit()
    assert other_processes(gpu, witness=HERE, family=HERE) is None


def test_a_driver_that_does_not_tell(host):
    gpu = host.gpu("GPU-1", pids=[HERE])
    host.nvmlInit()
    host.refuses = {"nvmlDeviceGetComputeRunningProcesses"}
    assert other_processes(gpu, witness=HERE, family=HERE) is None
