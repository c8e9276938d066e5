"""What a result says about its device: name, driver and clocks as NVML tells them, or the processor's name."""

from __future__ import annotations

import platform
from typing import Any

import pynvml
import torch

from kbd.daemon.devices import cpu_name
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.outbox.circumstances import ClocksReport, DeviceReport

CLOCKS = {"sm": pynvml.NVML_CLOCK_SM, "memory": pynvml.NVML_CLOCK_MEM, "graphics": pynvml.NVML_CLOCK_GRAPHICS}
THROTTLES = (
    pynvml.nvmlClocksThrottleReasonHwSlowdown
    | pynvml.nvmlClocksThrottleReasonSwThermalSlowdown
    | pynvml.nvmlClocksThrottleReasonHwThermalSlowdown
    | pynvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown
)


class DeviceInspector:
    """Describes one device; remembers clocks from before the timing."""

    def __init__(self, target: DeviceTarget) -> None:
        self._target = target
        self._handle: Any = None
        self._before: dict[str, int] = {}
        if target.kind == "cuda":
            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(target.visible)

    def timing_begins(self) -> None:
        """Remember the clocks as they are now."""
        self._before = self._clocks()

    def report(self) -> DeviceReport:
        """The device as it is now."""
        if self._handle is None:
            return DeviceReport(kind="cpu", name=cpu_name(), arch=platform.machine())
        major, minor = torch.cuda.get_device_capability()
        return DeviceReport(
            kind="cuda",
            name=_text(pynvml.nvmlDeviceGetName(self._handle)),
            uuid=self._target.visible,
            arch=f"sm_{major}{minor}",
            driver=_text(pynvml.nvmlSystemGetDriverVersion()),
            clocks_mhz=ClocksReport(before=self._before, after=self._clocks()),
            throttled=self._throttled(),
        )

    def _clocks(self) -> dict[str, int]:
        if self._handle is None:
            return {}
        clocks: dict[str, int] = {}
        for name, domain in CLOCKS.items():
            try:
                clocks[name] = int(pynvml.nvmlDeviceGetClockInfo(self._handle, domain))
            except pynvml.NVMLError:  # not every device tells every clock
                continue
        return clocks

    def _throttled(self) -> bool | None:
        try:
            reasons = int(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(self._handle))
        except pynvml.NVMLError:
            return None
        return bool(reasons & THROTTLES)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
