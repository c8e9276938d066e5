"""Which devices this host offers: CUDA devices as NVML sees them, and the CPU.

NVML is asked instead of CUDA, because the daemon must never create a CUDA context.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pynvml

from kbd.daemon.executor.protocol import DeviceTarget

DeviceKind = Literal["auto", "cuda", "cpu"]


class NoDevice(Exception):
    """The device that was asked for is not here; the message says what is."""


@dataclass(frozen=True)
class Device:
    """A device that jobs can be judged on. `key` is unique on this host (the UUID on CUDA)."""

    key: str
    name: str
    target: DeviceTarget


def discover(kind: DeviceKind, *, cpu_slots: int) -> list[Device]:
    """Devices of this kind; `auto` means CUDA devices, and the CPU where there is none. Raises NoDevice."""
    found = cuda_devices() if kind in ("auto", "cuda") else []
    if kind == "cuda" and not found:
        raise NoDevice(
            "no CUDA device is visible (NVML finds none); start with --device cpu or check the driver"
        )
    return found or cpu_devices(cpu_slots)


def cpu_devices(slots: int) -> list[Device]:
    """The CPU, as so many devices that each get an equal share of the cores."""
    threads = max(1, len(os.sched_getaffinity(0)) // max(slots, 1))
    name = cpu_name()
    return [Device(f"cpu{slot}", name, DeviceTarget(kind="cpu", threads=threads)) for slot in range(slots)]


def cuda_devices() -> list[Device]:
    """CUDA devices by UUID, those only that CUDA_VISIBLE_DEVICES leaves visible."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        devices = [_cuda_device(handle) for handle in handles]
    finally:
        pynvml.nvmlShutdown()
    return _visible(devices, os.environ.get("CUDA_VISIBLE_DEVICES"))


def _cuda_device(handle: object) -> Device:
    uuid = _text(pynvml.nvmlDeviceGetUUID(handle))
    target = DeviceTarget(kind="cuda", visible=uuid, arch=_arch(handle), threads=1)
    return Device(uuid, _text(pynvml.nvmlDeviceGetName(handle)), target)


def _arch(handle: object) -> str | None:
    """`sm_90`; None where the driver does not tell."""
    try:
        major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    except pynvml.NVMLError:
        return None
    return f"sm_{major}{minor}"


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _visible(devices: list[Device], selection: str | None) -> list[Device]:
    """What CUDA_VISIBLE_DEVICES (indices or UUIDs, the list ends at the first that is neither) leaves."""
    if selection is None:
        return devices
    chosen: list[Device] = []
    for entry in filter(None, map(str.strip, selection.split(","))):
        if entry.isdigit() and int(entry) < len(devices):
            chosen.append(devices[int(entry)])
        elif match := [device for device in devices if device.key.startswith(entry)]:
            chosen.append(match[0])
        else:
            break
    return chosen


def cpu_name() -> str:
    """The processor's own name where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
