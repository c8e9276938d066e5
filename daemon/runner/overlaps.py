"""Which returned tensors share memory with an input or with each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from kbd.daemon.executor.tensor_messages import Overlap


@dataclass(frozen=True)
class _Extent:
    """The bytes from a tensor's first element to its last; `dense` when all of them are its own."""

    first: int
    last: int
    end: int
    dense: bool

    @classmethod
    def of(cls, tensor: torch.Tensor) -> _Extent | None:
        """None for a tensor without elements, and for one that lies nowhere."""
        if tensor.numel() == 0 or tensor.device.type == "meta":
            return None
        first, itemsize = tensor.data_ptr(), tensor.element_size()
        steps = zip(tensor.shape, tensor.stride(), strict=True)
        last = first + sum((size - 1) * stride for size, stride in steps) * itemsize
        return cls(first, last, last + itemsize, last + itemsize - first == tensor.numel() * itemsize)

    def shares_with(self, other: _Extent) -> bool:
        """Whether they certainly share an element.

        Views that interleave (the halves of a split last dimension) lie within each other and share nothing, so
        only this counts: the same first element, or an element of one inside the other where that has no gaps.
        """
        return self.first == other.first or self._holds(other) or other._holds(self)

    def _holds(self, other: _Extent) -> bool:
        return self.dense and (self.first <= other.first < self.end or self.first <= other.last < self.end)


def overlaps_of(outputs: Sequence[torch.Tensor], inputs: Sequence[torch.Tensor]) -> tuple[Overlap, ...]:
    """All overlaps, those among the outputs once."""
    returned = [_Extent.of(tensor) for tensor in outputs]
    return tuple(
        overlap
        for place, extent in enumerate(returned)
        if extent is not None
        for overlap in (
            *_shared(place, extent, "input", [_Extent.of(tensor) for tensor in inputs]),
            *_shared(place, extent, "output", returned[:place]),
        )
    )


def _shared(place: int, extent: _Extent, kind: str, others: Sequence[_Extent | None]) -> Iterator[Overlap]:
    for number, other in enumerate(others):
        if other is not None and extent.shares_with(other):
            yield Overlap.model_validate({"output": place, "kind": kind, "other": number})
