"""Tensors that the judge lends to a runner, and what it gets back.

Every runner has arenas of its own: a candidate can spoil only its own copy of an input. The judge keeps its
master copies and the expected outputs in memory that is never shared.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kbd.daemon.executor.runner_protocol import Map, Okay
from kbd.daemon.executor.shared_memory import ALIGNMENT, Arena, extent, tensor_at
from kbd.daemon.executor.tensor_messages import Slot, TensorMeta
from kbd.daemon.judge.canaries import GUARD_BYTES, broken_fences, poison, raise_fences
from kbd.daemon.judge.runner_link import RunnerLink

STOCK_BYTES = 512 << 20
STOCK_SHARE = 1 / 64


@dataclass(frozen=True)
class Loan:
    """One arena with some tensors in it, mapped in one runner."""

    arena: Arena
    slots: tuple[Slot, ...]

    @property
    def metas(self) -> list[TensorMeta]:
        """What the lent tensors look like."""
        return [slot.meta for slot in self.slots]

    @functools.cached_property
    def tensors(self) -> list[torch.Tensor]:
        """The judge's own view of the lent tensors."""
        return [tensor_at(self.arena.memory, slot) for slot in self.slots]

    def fill(self, sources: Sequence[torch.Tensor]) -> None:
        """Copy the judge's tensors into the lent ones."""
        for lent, source in zip(self.tensors, sources, strict=True):
            lent.copy_(source)

    def poison(self) -> None:
        """Fill them with what no kernel computes."""
        poison(self.arena.memory, self.slots)

    def trespassed(self) -> list[int]:
        """Places of the tensors around which somebody has written."""
        return broken_fences(self.arena.memory, self.slots)

    def copies(self) -> list[torch.Tensor]:
        """Private copies of what lies there now."""
        return [tensor.clone() for tensor in self.tensors]


def lay_out(arena: int, metas: Sequence[TensorMeta], base: int = 0) -> tuple[tuple[Slot, ...], int]:
    """Aligned places from `base` on, a guard zone around each, and the bytes they take together."""
    slots: list[Slot] = []
    offset = base + GUARD_BYTES
    for meta in metas:
        slots.append(Slot(arena=arena, offset=offset, meta=meta))
        offset += -(-extent(meta) // ALIGNMENT) * ALIGNMENT + GUARD_BYTES
    return tuple(slots), offset - base


@dataclass(frozen=True)
class Room:
    """A piece of an arena: its number, where the piece begins in it, and the arena itself."""

    number: int
    base: int
    arena: Arena


class Lender:
    """Makes and maps arenas for one runner, and takes them back once the runner is dead."""

    def __init__(self, link: RunnerLink, device_kind: str, limit_s: float) -> None:
        self._link = link
        self._kind = device_kind
        self._limit_s = limit_s
        self._arenas: list[Arena] = []
        self._used = 0
        self._known: dict[str, tuple[Room, int]] = {}

    def lend(self, metas: Sequence[TensorMeta], purpose: str | None = None) -> Loan:
        """Room for tensors like these; with a purpose, where those for it lay before. Raises as `lend_again`."""
        _, nbytes = lay_out(0, metas)
        room = self.lend_bytes(nbytes) if purpose is None else self.lend_again(purpose, nbytes)
        slots, _ = lay_out(room.number, metas, room.base)
        raise_fences(room.arena.memory, slots)
        return Loan(room.arena, slots)

    def lend_bytes(self, nbytes: int) -> Room:
        """Room for so many bytes. Raises RunnerTrouble or SharingFailed."""
        nbytes = -(-nbytes // ALIGNMENT) * ALIGNMENT
        if not self._arenas or self._used + nbytes > self._arenas[-1].nbytes:
            self._map(max(nbytes, _stock_bytes(self._kind)))
        room = Room(len(self._arenas) - 1, self._used, self._arenas[-1])
        self._used += nbytes
        return room

    def lend_again(self, purpose: str, nbytes: int) -> Room:
        """The room that served this purpose before, where it is large enough: its tensors are given up.

        Nothing is given back before the runner is gone. So that little is lost to one that asks for more each time,
        room on the host at least doubles; it takes memory only where something is written.

        Raises RunnerTrouble or SharingFailed.
        """
        room, size = self._known.get(purpose, (None, 0))
        if room is None or size < nbytes:
            nbytes = max(nbytes, 2 * size) if self._kind == "cpu" else nbytes
            room = self.lend_bytes(nbytes)
            self._known[purpose] = room, nbytes
        return room

    def _map(self, nbytes: int) -> None:
        arena = Arena(nbytes, self._kind)
        self._arenas.append(arena)
        self._used = 0
        descriptors = [arena.descriptor] if arena.descriptor is not None else []
        question = Map(arena=len(self._arenas) - 1, nbytes=arena.nbytes, handle=arena.handle)
        self._link.ask(question, Okay, self._limit_s, descriptors)

    def release(self) -> None:
        """Give everything back; only once the runner is gone."""
        self._known.clear()
        while self._arenas:
            self._arenas.pop().release()


def _stock_bytes(kind: str) -> int:
    """Size of an arena at least: a large one is shared once, with one question for all that is lent from it."""
    if kind != "cuda":
        return 0
    free, _ = torch.cuda.mem_get_info()
    return min(STOCK_BYTES, int(free * STOCK_SHARE))
