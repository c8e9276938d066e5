"""The isolation of a whole host: probed once for each kind of device, handed out to each new child."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from kbd.daemon.executor.nursery_client import NurseryClient
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.executor.sandbox.isolation import Isolation, IsolationSettings
from kbd.daemon.executor.sandbox.plan import Sandbox
from kbd.daemon.executor.sandbox.probe import probe


class HostIsolation:
    """What the probe found for each kind of device. A kind without devices is served by what another one found."""

    def __init__(self, found: Mapping[str, Isolation]) -> None:
        self.found = dict(found)
        # Where several daemons share a host their runners had better not begin with the same uid.
        self._numbers = itertools.count(1 + secrets.randbelow(1 << 16))

    def of(self, kind: str) -> Isolation:
        """What protects the host from kernels on a device of this kind."""
        return self.found.get(kind) or next(iter(self.found.values()))

    def sandbox_for(self, device: DeviceTarget) -> Sandbox:
        """For the next child on this device: no two that live at the same time share a uid or a group."""
        sandbox = self.of(device.kind).sandbox(next(self._numbers))
        return sandbox.model_copy(update={"cuda": device.kind == "cuda"})


async def probe_host(
    nursery: NurseryClient, devices: Iterable[DeviceTarget], work_folder: Path, settings: IsolationSettings
) -> HostIsolation:
    """Probe with one device of each kind. Raises NurseryFailed, and IsolationTooWeak below the minimum."""
    found: dict[str, Isolation] = {}
    for device in {device.kind: device for device in reversed(list(devices))}.values():
        found[device.kind] = await probe(nursery, device, work_folder, settings)
        found[device.kind].require(settings.minimum)
    return HostIsolation(found)
