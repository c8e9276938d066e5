"""Driver, compilers and torch."""

import dataclasses
import sys

import pynvml
import pytest

from kbd.daemon.doctor import gpu
from kbd.daemon.doctor.check import State


def with_device(patient, device):
    return dataclasses.replace(patient, settings=dataclasses.replace(patient.settings, device=device))


@pytest.fixture
def says(monkeypatch):
    """NVML as on a host with that fault: such hosts are not at hand."""

    def fault(code):
        def refuse():
            raise pynvml.NVMLError(code)

        monkeypatch.setattr(pynvml, "nvmlInit", refuse)

    return fault


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "install the NVIDIA driver"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "modprobe nvidia"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "restart the host"),
        (pynvml.NVML_ERROR_NO_PERMISSION, "/dev/nvidia*"),
        (pynvml.NVML_ERROR_UNKNOWN, "nvidia-smi"),
    ],
)
@pytest.mark.parametrize(("device", "state"), [("auto", State.WARN), ("cuda", State.FAIL)])
def test_each_fault_of_the_driver_has_its_cure(patient, says, code, cure, device, state):
    says(code)
    (check,) = gpu.driver(with_device(patient, device))
    assert (check.state, cure in check.cure) == (state, True)
    assert ('device = "cpu"' in check.cure) == (device == "auto")


def test_the_driver_of_this_very_host(patient):
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        expected = State.WARN
    else:
        pynvml.nvmlShutdown()
        expected = State.OK
    (check,) = gpu.driver(patient)
    assert check.state is expected


def test_who_wants_the_processor_needs_no_driver(patient, says):
    says(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    (check,) = gpu.driver(with_device(patient, "cpu"))
    assert check.state is State.OK


def test_no_compilers_at_all(patient, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    nvcc, tools = gpu.compilers(patient)
    assert (nvcc.state, "CUDA_HOME" in nvcc.cure) == (State.WARN, True)
    assert (tools.state, tools.finding.startswith("c++ and ninja not found")) == (State.WARN, True)


def test_compilers_that_are_there(patient, monkeypatch, tmp_path):
    for name in ("nvcc", "c++", "ninja"):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert [check.state for check in gpu.compilers(patient)] == [State.OK, State.OK]


def test_torch_that_is_not_installed(patient, monkeypatch):
    monkeypatch.setattr("sys.path", [])
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    (check,) = gpu.torch(patient)
    assert (check.state, check.cure) == (State.FAIL, "pip install 'kbd[worker]'")
