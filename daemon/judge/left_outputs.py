"""What launches that were timed returned, by the surest way in which it can be read.

::

    buffers of the judge's        it lies there                                        triton, cuda
    borrowed memory               the runner told where captured launches leave it     torch on a device
    copies made meanwhile         before the next launch, in a burst that is kept      torch on the CPU
    asked for                     afterwards: memory that cannot be borrowed, loops on a device

Whoever is asked knows then what will be looked at. So the other ways come first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch

from kbd.daemon.executor.runner_protocol import (
    OTHER_TENSORS,
    Exported,
    ExportLaunches,
    Failed,
    Prepared,
    SetsBound,
)
from kbd.daemon.judge.exposed_outputs import ExposedOutputs
from kbd.daemon.judge.hosted_kernel import HostedKernel
from kbd.daemon.judge.runner_link import RunnerFailed, RunnerForged
from kbd.daemon.judge.set_table import SetTable, copies_of, lend_sets


class LeftOutputs:
    """Of one kernel with `count` input sets. `buffers`: where it may have been told to write."""

    def __init__(self, hosted: HostedKernel, count: int, buffers: SetTable | None, bound: SetsBound) -> None:
        self._hosted = hosted
        self._count = count
        self._buffers = buffers if bound.in_place else None
        self._forms = bound.outputs
        self.metas = [hosted.dense(meta) for meta in bound.outputs]
        self._exports: SetTable | None = None
        self._exposed: ExposedOutputs | None = None
        self._order: list[int] = []
        self._unfit: dict[int, frozenset[int]] = {}
        self._views: dict[int, bool] = {}

    @property
    def scattered(self) -> bool:
        """Whether something of it has gaps, so that a copy has another layout."""
        pairs = zip(self._forms, self.metas, strict=True)
        return any(form.stride is not None and meta.stride is None for form, meta in pairs)

    @property
    def views(self) -> bool:
        """Whether memory of the kernel's inputs was returned in one of the latest bursts."""
        return any(self._views.values())

    @property
    def may_be_exposed(self) -> bool:
        """Whether it is worth asking where captured launches leave it."""
        return self._hosted.device_kind == "cuda" and bool(self.metas) and self._buffers is None

    @property
    def must_be_asked_for(self) -> bool:
        """Whether its process has to be asked for what its bursts on a device returned."""
        return self.may_be_exposed and self._exposed is None

    @property
    def room_to_keep(self) -> SetTable | None:
        """Where a loop on the CPU copies all that launches return, when it is told to; None where it need not."""
        if self._hosted.device_kind != "cpu" or not self.metas or self._buffers is not None:
            return None
        if self._exports is None:
            self._exports = lend_sets(self._hosted.lender, "timed exports", self.metas, self._count)
        return self._exports

    def forget_bursts(self) -> None:
        """Others will be prepared."""
        self._exposed = None
        self._hosted.borrower.give_back()

    def prepared(self, told: Prepared, bursts: Sequence[Sequence[int]]) -> None:
        """These bursts are ready; borrows the memory in which their launches leave what they return.

        Raises RunnerForged.
        """
        self._order, self._unfit = [0] * len(bursts), {}
        self._views = dict.fromkeys(range(len(bursts)), told.views)
        if told.exposure is None or not self.may_be_exposed:
            return
        memory = self._hosted.borrower.borrow(told.exposure.handles)
        if memory is None:
            return
        lengths, device = [len(burst) for burst in bursts], torch.device(self._hosted.device_kind)
        try:
            self._exposed = ExposedOutputs.of(told.exposure, memory, self._forms, lengths, device)
        except ValueError as error:
            raise RunnerForged(self._hosted.role, str(error)) from None

    def ran(self, burst: int) -> None:
        """A burst is over."""
        self._order[burst] = max(self._order) + 1

    def kept(self, burst: int, unfit: Collection[int], *, views: bool) -> None:
        """What the runner says of a burst that was kept."""
        self._unfit[burst], self._views[burst] = frozenset(unfit), views

    def reuses(self, burst: int, launches: Sequence[int]) -> bool:
        """Whether what one of these launches leaves will be overwritten in a turn without the single launch."""
        later = range(burst + 1, len(self._order) - 1)
        return self._exposed is not None and self._exposed.overwritten(burst, launches, later)

    def at_once(self, burst: int, launch: int, place: int) -> list[torch.Tensor]:
        """What this launch left on the set at `place`, where it lies; nothing where that can only be asked for."""
        if self._buffers is not None:
            return [column[place] for column in self._buffers.columns]
        return self._exposed.left_by(burst, launch) if self._exposed is not None else []

    def read(self, burst: int, launches: Sequence[int], sets: Sequence[int]) -> list[torch.Tensor] | None:
        """Each output of these launches as one tensor, launches first; copies of the judge's own.

        None where later launches have used the memory again.
        """
        if self._buffers is not None:
            return [copies_of(column, sets) for column in self._buffers.columns]
        if not self.metas:
            return []
        if self._hosted.device_kind == "cpu":
            return self._copied_meanwhile(burst, sets)
        if self._exposed is not None:
            later = [other for other, order in enumerate(self._order) if order > self._order[burst]]
            overwritten = self._exposed.overwritten(burst, launches, later)
            return None if overwritten else self._exposed.copies(burst, launches)
        return self._asked_for(burst, launches)

    def _copied_meanwhile(self, burst: int, sets: Sequence[int]) -> list[torch.Tensor]:
        assert self._exports is not None
        if not self._unfit.get(burst, frozenset()).isdisjoint(sets):
            failed = Failed(status="runtime_error", type="RuntimeError", message=OTHER_TENSORS)
            raise RunnerFailed(self._hosted.role, failed)
        return [copies_of(column, sets) for column in self._exports.columns]

    def _asked_for(self, burst: int, launches: Sequence[int]) -> list[torch.Tensor] | None:
        if self._exports is None or self._exports.count < len(launches):
            self._exports = lend_sets(self._hosted.lender, "timed exports", self.metas, len(launches))
        slots = self._exports.slots_of(len(launches))
        question = ExportLaunches(burst=burst, launches=tuple(launches), slots=slots)
        exported = self._hosted.link.ask(question, Exported, self._hosted.limits.timing_s)
        if exported.overwritten:
            return None
        return [column[: len(launches)].clone() for column in self._exports.columns]
