"""What launches that were timed returned, by the surest way in which it can be read.

::

    buffers of the judge's    it lies there                                      triton, cuda
    borrowed memory           the runner told where captured launches leave it   torch in graphs
    copies made meanwhile     before the next launch, in a burst that is kept    torch in loops, and in graphs where
                                                                                 that memory cannot be borrowed or
                                                                                 is used again

A runner that is told to keep knows that it will be looked at, before it begins. So the other ways come first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch

from kbd.daemon.executor.runner_protocol import OTHER_TENSORS, Failed, Prepared, SetsBound
from kbd.daemon.judge.exposed_outputs import ExposedOutputs
from kbd.daemon.judge.hosted_kernel import HostedKernel
from kbd.daemon.judge.runner_link import RunnerFailed, RunnerForged
from kbd.daemon.judge.series import Method
from kbd.daemon.judge.set_table import SetTable, copies_of, lend_sets


class LeftOutputs:
    """Of one kernel. `buffers`: where it may have been told to write."""

    def __init__(self, hosted: HostedKernel, buffers: SetTable | None, bound: SetsBound) -> None:
        self._hosted = hosted
        self._buffers = buffers if bound.in_place else None
        self._forms = bound.outputs
        self.metas = [hosted.dense(meta) for meta in bound.outputs]
        self._exports: SetTable | None = None
        self._exposed: ExposedOutputs | None = None
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
    def is_elsewhere(self) -> bool:
        """Whether the kernel returns memory that is not the judge's."""
        return bool(self.metas) and self._buffers is None

    @property
    def lies_apart(self) -> bool:
        """Whether what all launches leave can be read without a word, and none overwrites another's."""
        return self._exposed is not None and not self._exposed.reuses

    def must_be_kept(self, method: Method) -> bool:
        """Whether bursts by this method, which are prepared, have to keep it to be compared."""
        return self.is_elsewhere and (method == "eager" or not self.lies_apart)

    def room_to_keep(self, sets: int) -> SetTable | None:
        """Where launches on so many sets copy what they return, in a burst that is kept; None where none do."""
        if not self.metas:
            return None
        if self._exports is None or self._exports.count < sets:
            self._exports = lend_sets(self._hosted.lender, "timed exports", self.metas, sets)
        return self._exports

    def forget_bursts(self, method: Method) -> None:
        """Others will be prepared, by this method; a runner holds on to captured ones while it prepares loops."""
        self._exposed = None
        if method == "graph":
            self._hosted.borrower.give_back()

    def prepared(self, told: Prepared, bursts: Sequence[Sequence[int]]) -> None:
        """These bursts are ready; borrows the memory in which their launches leave what they return.

        Raises RunnerForged.
        """
        self._unfit, self._views = {}, dict.fromkeys(range(len(bursts)), told.views)
        if told.exposure is None:
            return
        memory = self._hosted.borrower.borrow(told.exposure.handles)
        if memory is None:
            return
        lengths, device = [len(burst) for burst in bursts], torch.device(self._hosted.device_kind)
        try:
            self._exposed = ExposedOutputs.of(told.exposure, memory, self._forms, lengths, device)
        except ValueError as error:
            raise RunnerForged(self._hosted.role, str(error)) from None

    def kept(self, burst: int, unfit: Collection[int], *, views: bool) -> None:
        """What the runner says of a burst that was kept."""
        self._unfit[burst], self._views[burst] = frozenset(unfit), views

    def at_once(self, burst: int, launch: int, place: int) -> list[torch.Tensor]:
        """What this launch leaves on the set at `place`, where it lies."""
        if self._exposed is not None:
            return self._exposed.left_by(burst, launch)
        table = self._buffers or self._exports
        return [column[place] for column in table.columns] if table is not None else []

    def read(self, burst: int, launches: Sequence[int], sets: Sequence[int]) -> list[torch.Tensor]:
        """Each output of these launches as one tensor, launches first; copies of the judge's own.

        Raises RunnerFailed where one returned other tensors than it did when it was tried out.
        """
        if self._buffers is not None:
            return [copies_of(column, sets) for column in self._buffers.columns]
        if not self.metas:
            return []
        if self._exposed is not None:
            return self._exposed.copies(burst, launches)
        assert self._exports is not None
        if not self._unfit.get(burst, frozenset()).isdisjoint(sets):
            failed = Failed(status="runtime_error", type="RuntimeError", message=OTHER_TENSORS)
            raise RunnerFailed(self._hosted.role, failed)
        return [copies_of(column, sets) for column in self._exports.columns]
