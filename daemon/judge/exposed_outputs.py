"""What captured launches left in memory of their runner's, as the judge reads it without asking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kbd.daemon.executor.runner_protocol import Exposure
from kbd.daemon.executor.shared_memory import extent, tensor_at
from kbd.daemon.executor.tensor_messages import Slot, TensorMeta
from kbd.daemon.runner.values import dtype_named

Place = tuple[int, int]
"""The number of a piece of memory, and bytes from its beginning."""


@dataclass(frozen=True)
class ExposedOutputs:
    """Of every launch of every burst, outputs that look like `metas`: places in the `memory` that was borrowed.

    `reuses`: there are places at which more than one output lies.
    """

    memory: Sequence[torch.Tensor]
    metas: Sequence[TensorMeta]
    bursts: Sequence[Sequence[tuple[Place, ...]]]
    device: torch.device
    reuses: bool

    @classmethod
    def of(
        cls,
        exposure: Exposure,
        memory: Sequence[torch.Tensor],
        metas: Sequence[TensorMeta],
        lengths: Sequence[int],
        device: torch.device,
    ) -> ExposedOutputs:
        """As a runner tells it of bursts of these lengths.

        Raises ValueError where there are other launches, or one of their outputs would lie outside the memory.
        """
        if [len(places) for places in exposure.places] != [length * len(metas) for length in lengths]:
            raise ValueError("places are told for other launches than were asked for")
        for places in exposure.places:
            for number, place in enumerate(places):
                _require_inside(memory, place, metas[number % len(metas)])
        bursts = [_by_launch(places, len(metas)) for places in exposure.places]
        filled = [place for burst in bursts for launch in burst for place in _filled(launch, metas)]
        return cls(memory, metas, bursts, device, reuses=len(set(filled)) < len(filled))

    def left_by(self, burst: int, launch: int) -> list[torch.Tensor]:
        """The outputs of a launch where they lie."""
        places = self.bursts[burst][launch]
        return [self._tensor(place, meta) for place, meta in zip(places, self.metas, strict=True)]

    def copies(self, burst: int, launches: Sequence[int]) -> list[torch.Tensor]:
        """Each output of these launches as one tensor, launches first."""
        left = [self.left_by(burst, launch) for launch in launches]
        return [torch.stack(tensors) for tensors in zip(*left, strict=True)]

    def _tensor(self, place: Place, meta: TensorMeta) -> torch.Tensor:
        if not extent(meta):
            return torch.empty(meta.shape, dtype=dtype_named(meta.dtype), device=self.device)
        number, offset = place
        return tensor_at(self.memory[number], Slot(arena=number, offset=offset, meta=meta))


def _filled(places: Sequence[Place], metas: Sequence[TensorMeta]) -> list[Place]:
    """Without those of tensors that have no elements."""
    return [place for place, meta in zip(places, metas, strict=True) if 0 not in meta.shape]


def _by_launch(places: Sequence[Place], outputs: int) -> list[tuple[Place, ...]]:
    return [tuple(places[first : first + outputs]) for first in range(0, len(places), outputs)]


def _require_inside(memory: Sequence[torch.Tensor], place: Place, meta: TensorMeta) -> None:
    needed = extent(meta)
    if not needed:
        return
    number, offset = place
    if number >= len(memory) or offset + needed > memory[number].numel():
        raise ValueError("an output would lie outside the memory that it is said to lie in")
    if offset % dtype_named(meta.dtype).itemsize:
        raise ValueError("an output would lie where no element can begin")
