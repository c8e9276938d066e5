"""What NVML knows of a device after a job that ended badly: memory that is not back, errors of the driver.

::

    start, nothing of ours on it ──remember──► base
    bad job, its runners reaped ──problem──► is more used than base and our processes explain? an Xid?

Where NVML cannot tell, nothing is held against the device: the judge's probe has the first word anyway.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import pynvml
import structlog

from kbd.daemon.device_processes import other_processes
from kbd.daemon.nvml import card_of

log = structlog.get_logger(__name__)

PROCESS_BYTES = 1 << 30
"""What a process of ours may hold: its context, cuBLAS and the probe (measured on an H100: 0.5 to 0.6 GiB)."""
TOLERANCE_BYTES = 512 << 20
PATIENCE_S = 3.0
POLL_S = 0.05
FATAL_XIDS = frozenset({48, 62, 64, 74, 79, 95, 119, 120, 140, 143})
"""After these a GPU needs a reset or has lost data (NVIDIA, "Xid Errors"); kernels cause others: 13, 31, 43."""


class DeviceHealth:
    """One device, watched by the daemon, which has no context on it."""

    def __init__(self, uuid: str) -> None:
        self._uuid = uuid
        self._handle: Any = None
        self._events: Any = None
        self._base_bytes: int | None = None

    def remember(self) -> None:
        """How it is now, with nothing of ours on it."""
        try:
            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(self._uuid)
        except pynvml.NVMLError as error:
            log.warning("not watched", action="device_unwatched", device=self._uuid, reason=str(error))
            return
        self._base_bytes = self._used_bytes()
        self._events = _xid_events(card_of(self._handle))

    async def problem(
        self, *, processes: int, judge: int | None, alone: bool, job: str | None = None
    ) -> str | None:
        """What is wrong with the device, or None.

        Args:
            processes: how many of ours are on it now, with no job.
            judge: one of them that is there for certain.
            alone: no other job of ours runs on it, so that its memory means something.
            job: whose end gave reason to ask.
        """
        if self._handle is None:
            return None
        xids = self._new_xids()
        if xids:
            log.warning("the driver reported errors", action="xid", device=self._uuid, job=job, xids=xids)
        if fatal := sorted(FATAL_XIDS.intersection(xids)):
            return f"the driver reported Xid {', '.join(map(str, fatal))}; the GPU may need a reset"
        return await self._missing_memory(processes, judge, job) if alone else None

    async def _missing_memory(self, processes: int, judge: int | None, job: str | None) -> str | None:
        """Wait for what dead processes still hold. What is kept by others than kbd is no problem of the device."""
        deadline = time.monotonic() + PATIENCE_S
        while (missing := self._unexplained_bytes(processes)) > 0:
            if time.monotonic() >= deadline:
                break
            await asyncio.sleep(POLL_S)
        if missing <= 0:
            return None
        others = other_processes(self._handle, witness=judge or -1, family=os.getpid())
        if others == 0:
            return (
                f"{missing >> 20} MiB of its memory did not come back, and no process is known to hold them"
            )
        log.warning(
            "memory is in use that is not kbd's",
            action="device_memory_foreign",
            device=self._uuid,
            job=job,
            nbytes=missing,
            other_processes=others,
        )
        self._base_bytes = (self._base_bytes or 0) + missing
        return None

    def _unexplained_bytes(self, processes: int) -> int:
        used = self._used_bytes()
        if used is None or self._base_bytes is None:
            return 0
        return used - self._base_bytes - processes * PROCESS_BYTES - TOLERANCE_BYTES

    def _used_bytes(self) -> int | None:
        try:
            return int(pynvml.nvmlDeviceGetMemoryInfo(self._handle).used)
        except pynvml.NVMLError:
            return None

    def _new_xids(self) -> list[int]:
        """Errors since the last time, whoever caused them."""
        found: list[int] = []
        while self._events is not None:
            try:
                found.append(int(pynvml.nvmlEventSetWait(self._events, 0).eventData))
            except pynvml.NVMLError_Timeout:
                break
            except pynvml.NVMLError as error:
                log.warning("Xid unknown", action="device_unwatched", device=self._uuid, reason=str(error))
                self._events = None
        return found


def _xid_events(card: Any) -> Any:
    """A set that collects critical errors of this GPU; None where the driver has none to give."""
    try:
        events = pynvml.nvmlEventSetCreate()
        pynvml.nvmlDeviceRegisterEvents(card, pynvml.nvmlEventTypeXidCriticalError, events)
    except pynvml.NVMLError:
        return None
    return events
