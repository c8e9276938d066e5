"""NVML as kbd uses it: devices by UUID, a MIG instance like a whole GPU, and texts that are texts.

NVML is asked instead of CUDA wherever that is enough: it needs no context on the device.
"""

from __future__ import annotations

from typing import Any

import pynvml


def text(value: str | bytes) -> str:
    """What some versions of the binding give as bytes."""
    return value.decode() if isinstance(value, bytes) else value


def card_of(handle: Any) -> Any:
    """The GPU that a MIG instance is a part of, which alone has clocks, events and a driver's opinion."""
    try:
        if pynvml.nvmlDeviceIsMigDeviceHandle(handle):
            return pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
    except pynvml.NVMLError:  # a driver that knows no MIG
        pass
    return handle
