"""Finding out, at a daemon's start, which layers work on this host, all together and with the device in use.

::

    every layer ──► a child in that sandbox ──a layer is refused───────► leave it out ──┐
         ▲                  │                                                           │
         │                  ├──something does not work──► find the layer to blame ──────┤
         └──────────────────┼───────────────────────────────────────────────────────────┘
                            └──works──► did each layer deny what it should? ──► Isolation

As root a runner gets a uid of its own; where that leaves a layer missing, a user namespace is tried instead, and
the better of both is taken.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from kbd.daemon.executor.nursery_client import NurseryClient, NurseryFailed
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.executor.sandbox import landlock
from kbd.daemon.executor.sandbox.cgroup import CgroupHome
from kbd.daemon.executor.sandbox.denials import broken_layers
from kbd.daemon.executor.sandbox.isolation import Isolation, IsolationSettings
from kbd.daemon.executor.sandbox.laboratory import Finding, Laboratory, laboratory
from kbd.daemon.executor.sandbox.layers import FOUNDATIONS, Layer, without
from kbd.daemon.executor.sandbox.refusal import LayerRefused

log = structlog.get_logger(__name__)

# When something does not work these are left out one at a time, the least loss first.
SUSPECTS: Final = (
    *(
        Layer.PRIVATE_MEMORY,
        Layer.PROCESS_COUNT,
        Layer.RESOURCE_LIMITS,
        Layer.CGROUP,
        Layer.OOM_FIRST,
        Layer.UTS,
    ),
    *(Layer.LANDLOCK, Layer.SECCOMP, Layer.OWN_UID, Layer.IPC, Layer.NETWORK, Layer.PID, Layer.MOUNT),
    *(Layer.USER_NAMESPACE, Layer.CAPABILITIES, Layer.NO_NEW_PRIVILEGES),
)


async def probe(
    nursery: NurseryClient, device: DeviceTarget, work_folder: Path, settings: IsolationSettings
) -> Isolation:
    """The best isolation that works here, with every layer left out and why.

    `work_folder`: where runners get their folders. Raises NurseryFailed when nothing works at all.
    """
    root = os.geteuid() == 0
    async with laboratory(nursery, device, work_folder, settings.hidden) as place:
        ladders = []
        for foundation in FOUNDATIONS if root else (Layer.USER_NAMESPACE,):
            ladder = _Ladder(place, settings, _home(), root)
            ladders.append(await ladder.climb(frozenset(Layer) - set(FOUNDATIONS) | {foundation}))
            if not ladders[-1].missing:
                break
    best = max(ladders, key=lambda found: (found.level.rank, len(found.in_force)))
    log.info("isolation", action="isolation", reached=best.level.value, missing=best.missing)
    return best


def _home() -> CgroupHome | LayerRefused:
    try:
        return CgroupHome.find()
    except LayerRefused as refused:
        return refused


def _landlock_abi() -> int | None:
    try:
        return landlock.abi_of_kernel()
    except OSError:
        return None  # the runner will be refused the layer, with the reason


@dataclass
class _Ladder:
    """The way down from every layer to those that work. `absent`: what was left out so far."""

    place: Laboratory
    settings: IsolationSettings
    cgroups: CgroupHome | LayerRefused
    root: bool
    absent: dict[Layer, str] = field(default_factory=dict)

    async def climb(self, layers: frozenset[Layer]) -> Isolation:
        """Leave out one layer after the other until a kernel could run. Raises NurseryFailed."""
        if isinstance(self.cgroups, LayerRefused):
            layers = self._leave_out(layers, self.cgroups)
        while not (finding := await self._observe(layers)).sound:
            layers = self._leave_out(layers, finding.refused or await self._blame(layers, finding))
        broken = broken_layers(finding.breaches, layers)
        if Layer.CGROUP in layers and self._groups_bound_processes():
            broken.pop(Layer.PROCESS_COUNT, None)  # root is not counted by itself, but its group is
        return self._isolation(layers, tuple(broken.items()))

    def _groups_bound_processes(self) -> bool:
        return isinstance(self.cgroups, CgroupHome) and "pids" in self.cgroups.controllers

    def _leave_out(self, layers: frozenset[Layer], refused: LayerRefused) -> frozenset[Layer]:
        if refused.layer not in layers:
            raise NurseryFailed(f"a sandbox without the layer {refused.layer} fails by it: {refused.reason}")
        rest = without(layers, refused.layer, root=self.root)
        self.absent |= dict.fromkeys(layers - rest, f"needs the {refused.layer}")
        self.absent[refused.layer] = refused.reason
        return rest

    async def _blame(self, layers: frozenset[Layer], finding: Finding) -> LayerRefused:
        """The first layer without which everything works, else the first that is left."""
        what = "; ".join(f"{name}: {reason}" for name, reason in finding.faults.items())
        bare = await self._observe(frozenset())
        suspects = [layer for layer in SUSPECTS if layer in layers]
        if not bare.sound or not suspects:
            raise NurseryFailed(f"a runner does not work here, sandbox or not: {what}")
        for suspect in suspects:
            if (await self._observe(without(layers, suspect, root=self.root))).sound:
                return LayerRefused(suspect, f"breaks {what}")
        return LayerRefused(suspects[0], f"left out in search of what breaks {what}")

    async def _observe(self, layers: frozenset[Layer]) -> Finding:
        return await self.place.observe(self._isolation(layers).sandbox(0))

    def _isolation(self, layers: frozenset[Layer], broken: tuple[tuple[Layer, str], ...] = ()) -> Isolation:
        return Isolation(
            settings=self.settings,
            layers=layers,
            absent=tuple(self.absent.items()),
            ineffective=broken,
            landlock_abi=_landlock_abi() if Layer.LANDLOCK in layers else None,
            cgroups=self.cgroups if Layer.CGROUP in layers and isinstance(self.cgroups, CgroupHome) else None,
            cuda=self.place.device.kind == "cuda",
        )
