"""GPU driver, compilers and torch: what kernels need."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping
from typing import Final

import pynvml

from kbd.backends.build_tools import find_cxx, find_ninja, find_nvcc
from kbd.daemon.devices import cuda_devices
from kbd.daemon.doctor.check import Check, Patient, fail, ok, warn

NAME: Final = "GPU driver"
_CURES: Final[Mapping[int, str]] = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: (
        "install the NVIDIA driver; in a container, start it with the NVIDIA Container "
        "Toolkit (docker: --gpus all; podman: --device nvidia.com/gpu=all)"
    ),
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: (
        "load the kernel module: modprobe nvidia; if that fails, install the driver again for this kernel"
    ),
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "the driver was upgraded while loaded: restart the host",
    pynvml.NVML_ERROR_NO_PERMISSION: "let this user open /dev/nvidia*",
}
_ELSE: Final = "see what nvidia-smi says"


def driver(patient: Patient) -> Iterator[Check]:
    """Whether NVML finds GPUs. Without one a daemon judges on the CPU, unless it was told not to."""
    bad = fail if patient.settings.device == "cuda" else warn
    without = "" if patient.settings.device == "cuda" else '; or set device = "cpu" if none is wanted'
    if patient.settings.device == "cpu":
        yield ok(NAME, "not needed: device is cpu")
        return
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        cure = _CURES.get(error.value, _ELSE)
        yield bad(NAME, f"NVML says: {error}; kernels run on the CPU alone", cure + without)
        return
    try:
        count, version = pynvml.nvmlDeviceGetCount(), pynvml.nvmlSystemGetDriverVersion()
    finally:
        pynvml.nvmlShutdown()
    visible = len(cuda_devices())
    if not visible:
        cure = (
            "change CUDA_VISIBLE_DEVICES"
            if count
            else "see whether lspci shows a GPU, and dmesg an error of it"
        )
        yield bad(NAME, f"driver {version}, {count} GPUs, none of them visible", cure + without)
        return
    yield ok(NAME, f"driver {version}, {visible} devices visible")


def compilers(_: Patient) -> Iterator[Check]:
    """What kernels of type cuda and torch_cuda are built with."""
    if (nvcc := find_nvcc(os.environ)) is None:
        yield warn(
            "nvcc",
            "not found; kernels that need it (torch_cuda with CUDA sources, cuda without NVRTC) are `unsupported`",
            "install the CUDA toolkit, then put nvcc on the daemon's PATH or set CUDA_HOME",
        )
    else:
        yield ok("nvcc", nvcc)
    missing = [name for name, path in (("c++", find_cxx()), ("ninja", find_ninja())) if path is None]
    if missing:
        yield warn(
            "build tools",
            f"{' and '.join(missing)} not found; PyTorch extensions cannot be built",
            "install g++ and ninja (apt-get install g++ ninja-build), or set CXX",
        )
    else:
        yield ok("build tools", "c++ and ninja")


def torch(_: Patient) -> Iterator[Check]:
    """Whether torch is installed; it is not imported, which takes seconds."""
    if importlib.util.find_spec("torch") is None:
        yield fail("torch", "not installed; no kernel can run", "pip install 'kbd[worker]'")
    else:
        yield ok("torch", "installed")
