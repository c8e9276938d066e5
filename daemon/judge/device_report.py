"""What a result says about its device: name, driver and clocks as NVML tells them, or the processor's name."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from typing import Any

import pynvml
import torch

from kbd.daemon.device_processes import other_processes
from kbd.daemon.devices import cpu_name
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.nvml import card_of, text
from kbd.outbox.circumstances import ClocksReport, DeviceReport

CLOCKS = {"sm": pynvml.NVML_CLOCK_SM, "memory": pynvml.NVML_CLOCK_MEM, "graphics": pynvml.NVML_CLOCK_GRAPHICS}
THROTTLES = (
    pynvml.nvmlClocksThrottleReasonHwSlowdown
    | pynvml.nvmlClocksThrottleReasonSwThermalSlowdown
    | pynvml.nvmlClocksThrottleReasonHwThermalSlowdown
    | pynvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown
)


class DeviceInspector:
    """Describes one device; remembers clocks and other processes from before the timing."""

    def __init__(self, target: DeviceTarget) -> None:
        self._target = target
        self._handle: Any = None
        self._card: Any = None
        self._others_before: list[int | None] = []
        self._before: dict[str, int] = {}
        if target.kind == "cuda":
            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(target.visible)
            self._card = card_of(self._handle)

    def job_begins(self) -> None:
        """Forget what was remembered for the last one."""
        self._before = {}
        self._others_before = []

    def timing_begins(self) -> None:
        """Remember clocks and other processes as they are now."""
        self._before = self._clocks()
        self._others_before = [self.other_processes()]

    def other_processes(self) -> int | None:
        """How many processes that are not kbd's compute on the device now; None where nobody can tell.

        Cheap (some 0.1 ms), so that a timing can ask before and after. It needs the context that a judge has.
        """
        if self._handle is None:
            return None
        return other_processes(self._handle, witness=os.getpid(), family=os.getppid())

    def sm_mhz(self) -> int | None:
        """The clock of its multiprocessors now; None where nobody can tell."""
        return self._clocks().get("sm")

    def report(self) -> DeviceReport:
        """The device as it is now."""
        if self._handle is None:
            return DeviceReport(kind="cpu", name=cpu_name(), arch=platform.machine())
        major, minor = torch.cuda.get_device_capability()
        return DeviceReport(
            kind="cuda",
            name=text(pynvml.nvmlDeviceGetName(self._handle)),
            uuid=self._target.visible,
            arch=f"sm_{major}{minor}",
            driver=text(pynvml.nvmlSystemGetDriverVersion()),
            clocks_mhz=ClocksReport(before=self._before, after=self._clocks()),
            throttled=self._throttled(),
            other_processes=_most([*self._others_before, self.other_processes()]),
        )

    def _clocks(self) -> dict[str, int]:
        if self._card is None:
            return {}
        clocks: dict[str, int] = {}
        for name, domain in CLOCKS.items():
            try:
                clocks[name] = int(pynvml.nvmlDeviceGetClockInfo(self._card, domain))
            except pynvml.NVMLError:  # not every device tells every clock
                continue
        return clocks

    def _throttled(self) -> bool | None:
        try:
            reasons = int(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(self._card))
        except pynvml.NVMLError:
            return None
        return bool(reasons & THROTTLES)


def _most(counts: Sequence[int | None]) -> int | None:
    """The largest count; None where one is unknown and no other tells of anybody."""
    known = [count for count in counts if count is not None]
    most = max(known, default=0)
    return most if most > 0 or len(known) == len(counts) else None
