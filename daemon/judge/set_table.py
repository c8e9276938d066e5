"""Input sets side by side: the same tensors many times, so that one operation of the judge's reaches all of them.

set 0: x ─ y ─ gap │ set 1: x ─ y ─ gap │ …        columns[0] is every x at once, columns[1] every y
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kbd.daemon.executor.shared_memory import ALIGNMENT, contiguous_stride
from kbd.daemon.executor.tensor_messages import Slot, TensorMeta
from kbd.daemon.judge.lending import Lender, lay_out
from kbd.daemon.runner.values import dtype_named


@dataclass(frozen=True)
class SetTable:
    """`count` sets lent to one runner. `slots` are those of set 0; set i lies i * `stride` bytes behind it."""

    count: int
    stride: int
    slots: tuple[Slot, ...]
    columns: tuple[torch.Tensor, ...]
    memory: torch.Tensor

    def slots_of(self, sets: int) -> tuple[Slot, ...]:
        """The slots of the first so many sets, one set after the other."""
        return tuple(
            slot.model_copy(update={"offset": slot.offset + number * self.stride})
            for number in range(sets)
            for slot in self.slots
        )


def copies_of(column: torch.Tensor, sets: Sequence[int]) -> torch.Tensor:
    """A private copy of one tensor of these sets, sets first."""
    if column.is_cuda:
        return column[list(sets)]
    return torch.stack([column[number] for number in sets])  # an index gathers element by element there


def lend_sets(lender: Lender, purpose: str, metas: Sequence[TensorMeta], count: int) -> SetTable:
    """Room for `count` sets of tensors like these, where those for this purpose lay before, if it is enough.

    Raises RunnerTrouble or SharingFailed.
    """
    _, stride = lay_out(0, metas)
    stride = -(-stride // ALIGNMENT) * ALIGNMENT
    room = lender.lend_again(purpose, stride * count)
    slots, _ = lay_out(room.number, metas, room.base)
    memory = room.arena.memory
    columns = tuple(_column(memory, slot, stride, count) for slot in slots)
    return SetTable(count, stride, slots, columns, memory[room.base : room.base + stride * count])


def _column(memory: torch.Tensor, slot: Slot, stride: int, count: int) -> torch.Tensor:
    """One tensor of every set, as one tensor with the sets as its first dimension."""
    meta, dtype = slot.meta, dtype_named(slot.meta.dtype)
    if 0 in meta.shape:
        return torch.empty((count, *meta.shape), dtype=dtype, device=memory.device)
    within = meta.stride if meta.stride is not None else contiguous_stride(meta.shape)
    whole = memory[: memory.numel() // dtype.itemsize * dtype.itemsize].view(dtype)
    return whole.as_strided(
        (count, *meta.shape), (stride // dtype.itemsize, *within), slot.offset // dtype.itemsize
    )
