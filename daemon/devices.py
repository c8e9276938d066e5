"""Which devices this host offers: CUDA devices as NVML sees them (GPUs, or their MIG instances), and the CPU.

NVML is asked instead of CUDA, because the daemon must never create a CUDA context.
"""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pynvml

from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.nvml import text

DeviceKind = Literal["auto", "cuda", "cpu"]
MOST_EVALUATIONS = 4
EVALUATION_BYTES = 12 << 30


class NoDevice(Exception):
    """The device that was asked for is not here; the message says what is."""


@dataclass(frozen=True)
class Device:
    """A device that jobs can be judged on.

    Attributes:
        key: unique on this host (the UUID on CUDA).
        evaluations: so many jobs may be on it at a time; one of them alone while it is timed.
    """

    key: str
    name: str
    target: DeviceTarget
    evaluations: int = 1


def discover(kind: DeviceKind, *, cpu_slots: int, per_device: int | None = None) -> list[Device]:
    """Devices of this kind; `auto` means CUDA devices, and the CPU where there is none. Raises NoDevice.

    `per_device`: evaluations at a time on each CUDA device; by its memory where that is not said.
    """
    found = cuda_devices() if kind in ("auto", "cuda") else []
    if kind == "cuda" and not found:
        raise NoDevice(
            "no CUDA device is visible (NVML finds none); start with --device cpu or check the driver"
        )
    if per_device is not None:
        found = [replace(device, evaluations=per_device) for device in found]
    return found or cpu_devices(cpu_slots)


def cpu_devices(slots: int) -> list[Device]:
    """The CPU, as so many devices with equal shares of the cores; where there are too few, some share one."""
    cores = sorted(os.sched_getaffinity(0))
    threads = max(1, len(cores) // max(slots, 1))
    name = cpu_name()
    shares = [
        tuple(cores[(slot * threads + nth) % len(cores)] for nth in range(threads)) for slot in range(slots)
    ]
    return [
        Device(f"cpu{slot}", name, DeviceTarget(kind="cpu", threads=threads, cores=share))
        for slot, share in enumerate(shares)
    ]


def cuda_devices() -> list[Device]:
    """CUDA devices by UUID, those only that CUDA_VISIBLE_DEVICES leaves visible."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        cards = [_card(handle) for handle in handles]
    finally:
        pynvml.nvmlShutdown()
    return visible(cards, os.environ.get("CUDA_VISIBLE_DEVICES"))


@dataclass(frozen=True)
class Card:
    """A GPU as it is plugged in, and what jobs can use of it: itself, or in MIG mode its instances."""

    uuid: str
    devices: tuple[Device, ...]


def _card(handle: Any) -> Card:
    uuid = text(pynvml.nvmlDeviceGetUUID(handle))
    name, arch = text(pynvml.nvmlDeviceGetName(handle)), _arch(handle)
    if not _in_mig_mode(handle):
        return Card(uuid, (_cuda_device(handle, uuid, name, arch),))
    instances = [
        _cuda_device(instance, text(pynvml.nvmlDeviceGetUUID(instance)), _instance_name(instance, name), arch)
        for instance in _mig_instances(handle)
    ]
    return Card(uuid, tuple(instances))


def _cuda_device(handle: Any, uuid: str, name: str, arch: str | None) -> Device:
    target = DeviceTarget(kind="cuda", visible=uuid, arch=arch, threads=1)
    return Device(uuid, name, target, _evaluations(handle))


def _evaluations(handle: Any) -> int:
    """As many as have room: each takes a judge, two runners and two spares (0.5 GiB each) and what it works on."""
    try:
        total = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    except pynvml.NVMLError:
        return 1
    return max(1, min(MOST_EVALUATIONS, total // EVALUATION_BYTES))


def _in_mig_mode(handle: Any) -> bool:
    try:
        current, _pending = pynvml.nvmlDeviceGetMigMode(handle)
    except pynvml.NVMLError:  # most GPUs know no MIG
        return False
    return bool(current == pynvml.NVML_DEVICE_MIG_ENABLE)


def _mig_instances(handle: Any) -> Iterator[Any]:
    """There are gaps between the indices."""
    for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        with contextlib.suppress(pynvml.NVMLError_NotFound):
            yield pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)


def _instance_name(instance: Any, card_name: str) -> str:
    """`NVIDIA H100 80GB HBM3 MIG 1g.10gb`; old drivers do not tell the size."""
    try:
        return text(pynvml.nvmlDeviceGetName(instance))
    except pynvml.NVMLError:
        return f"{card_name} MIG"


def _arch(handle: Any) -> str | None:
    """`sm_90`; None where the driver does not tell."""
    try:
        major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    except pynvml.NVMLError:
        return None
    return f"sm_{major}{minor}"


def visible(cards: Sequence[Card], selection: str | None) -> list[Device]:
    """What CUDA_VISIBLE_DEVICES leaves, in its order; like CUDA, it ends at the first entry that is nothing.

    An entry is the index or the UUID of a GPU, which stands for all its MIG instances, or the UUID of an instance;
    of UUIDs the beginning is enough.
    """
    if selection is None:
        return [device for card in cards for device in card.devices]
    chosen: dict[str, Device] = {}
    for entry in filter(None, map(str.strip, selection.split(","))):
        found = _named(cards, entry)
        if found is None:
            break
        chosen |= {device.key: device for device in found}
    return list(chosen.values())


def _named(cards: Sequence[Card], entry: str) -> Sequence[Device] | None:
    if entry.isascii() and entry.isdecimal():
        return cards[int(entry)].devices if int(entry) < len(cards) else None
    for card in cards:
        if card.uuid.startswith(entry):
            return card.devices
        for device in card.devices:
            if device.key.startswith(entry):
                return (device,)
    return None


def cpu_name() -> str:
    """The processor's own name where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
