"""One kernel in its runner, as the judge handles it: load, bind inputs, run, fetch outputs, time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from kbd.daemon.executor import runner_protocol
from kbd.daemon.executor.process_tree import TreeTime
from kbd.daemon.executor.protocol import Role, StageLimits
from kbd.daemon.executor.runner_protocol import Ran
from kbd.daemon.executor.shared_memory import extent
from kbd.daemon.executor.tensor_messages import Slot, TensorMeta, Values
from kbd.daemon.judge.bits import invert_bits, places_that_differ
from kbd.daemon.judge.borrowing import Borrower
from kbd.daemon.judge.dense_form import dense_form
from kbd.daemon.judge.lending import Lender, Loan
from kbd.daemon.judge.output_buffers import beginnings, buffer_metas, freshen
from kbd.daemon.judge.room import Announcements, Made
from kbd.daemon.judge.runner_link import RunnerFailed, RunnerForged, RunnerLink
from kbd.daemon.runner.values import UnknownValue, meta_of
from kbd.inbox.bound_contract import BoundContract
from kbd.inbox.manifest import KernelCode


@dataclass(frozen=True)
class InputSet:
    """Positional arguments: a tree, and the tensors in it. Held by the judge, copied to each runner."""

    tree: Any
    tensors: list[torch.Tensor]

    @property
    def metas(self) -> list[TensorMeta]:
        """What the tensors look like."""
        return [meta_of(tensor) for tensor in self.tensors]

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors together."""
        return sum(tensor.nbytes for tensor in self.tensors)


class HostedKernel:
    """Reference or candidate. Raises RunnerTrouble wherever the runner does not do as asked."""

    def __init__(
        self,
        link: RunnerLink,
        device_kind: str,
        limits: StageLimits,
        announcements: Announcements | None = None,
    ) -> None:
        self.link = link
        self.setup_us = 0.0
        self.makes_inputs = False
        self.interpreted = False
        self.init_inputs: InputSet | None = None
        self.peak_bytes: int | None = None
        self.tree_time: TreeTime | None = None
        self._returned_bytes: dict[int, int] = {}
        self.workload = 0
        self.archive: tuple[int, int] | None = None
        """Descriptor and size of what a compiler made of the kernel, where one did; the kernel closes it."""
        self.notes: tuple[str, ...] = ()
        self.limits = limits
        self.device_kind = device_kind
        self.lender = Lender(link, device_kind, limits.load_s)
        self.borrower = Borrower()
        self._announcements = announcements or Announcements()
        self._contracts: tuple[BoundContract, ...] = ()
        self._takes_outputs = False
        self._bound: dict[int, Loan] = {}
        self._buffers: dict[int, Loan] = {}
        self._told: dict[int, runner_protocol.Bind] = {}
        self._results: dict[str, Loan] = {}
        self._ran_on = 0

    @property
    def role(self) -> Role:
        """Whose kernel it is."""
        return self.link.role

    @property
    def returned_bytes(self) -> int:
        """Bytes of what the latest run of the workload in force returned."""
        return self._returned_bytes.get(self.workload, 0)

    def load(
        self,
        kernel: KernelCode,
        contracts: Sequence[BoundContract],
        seed: int,
        init_inputs: InputSet | None,
    ) -> None:
        """Load it; without `init_inputs` the module's own are taken and kept for the other kernel."""
        self._hand_over_archive()
        question = runner_protocol.Load(
            role=self.role,
            kernel=kernel,
            contracts=tuple(contracts),
            init_seed=seed,
            **self._given(init_inputs),
        )
        loaded = self.link.ask(question, runner_protocol.Loaded, self.limits.load_s)
        self.setup_us = loaded.setup_us
        self.makes_inputs, self.notes = loaded.makes_inputs, loaded.notes
        self._contracts, self._takes_outputs = tuple(contracts), loaded.takes_outputs
        self.interpreted = loaded.interpreted
        if init_inputs is None and loaded.init_inputs is not None:
            tensors = self._fetch("init_inputs", loaded.init_inputs, self.limits.load_s)
            self.init_inputs = InputSet(loaded.init_inputs.tree, tensors)

    def _hand_over_archive(self) -> None:
        if self.archive is None:
            return
        descriptor, nbytes = self.archive
        question = runner_protocol.TakeArtifact(nbytes=nbytes)
        self.link.ask(question, runner_protocol.Okay, self.limits.load_s, [descriptor])
        self._close_archive()

    def _close_archive(self) -> None:
        if self.archive is not None:
            os.close(self.archive[0])
            self.archive = None

    def _given(self, init_inputs: InputSet | None) -> dict[str, Any]:
        if init_inputs is None:
            return {}
        loan = self.lender.lend(init_inputs.metas) if init_inputs.tensors else None
        if loan is not None:
            loan.fill(init_inputs.tensors)
        values = Values(tree=init_inputs.tree, tensors=tuple(init_inputs.metas))
        return {"init_inputs": values, "init_slots": loan.slots if loan else ()}

    def make_inputs(self, seed: int) -> InputSet:
        """Inputs of the module's own `get_inputs()`, copied out of its reach."""
        limit_s = self.limits.correctness_s
        made = self.link.ask(runner_protocol.MakeInputs(seed=seed), runner_protocol.Made, limit_s)
        return InputSet(made.values.tree, self._fetch("inputs", made.values, limit_s))

    def bind(self, index: int, inputs: InputSet) -> None:
        """Copy an input set to where this runner sees it as set `index`; output buffers are made fresh."""
        loan, buffers = self._room_for(index, inputs.metas, self.output_metas())
        loan.fill(inputs.tensors)
        freshen(buffers, self._contract_of_buffers())
        self._tell_bound(index, inputs, loan, buffers.slots)

    def _room_for(self, index: int, metas: list[TensorMeta], outputs: list[TensorMeta]) -> tuple[Loan, Loan]:
        """Where the inputs and the output buffers of a set lie; the same place as long as they look the same."""
        known = self._bound.get(index), self._buffers.get(index)
        if known[0] and known[1] and (known[0].metas, known[1].metas) == (metas, outputs):
            return known[0], known[1]
        whole = self.lender.lend([*metas, *outputs], f"set {index}")
        loan = self._bound[index] = Loan(whole.arena, whole.slots[: len(metas)])
        buffers = self._buffers[index] = Loan(whole.arena, whole.slots[len(metas) :])
        return loan, buffers

    def output_metas(self) -> list[TensorMeta]:
        """One buffer for each pure output of the contract in force, if the kernel has any use for them."""
        contract = self._contract_of_buffers()
        return [] if contract is None else buffer_metas(contract)

    def output_beginnings(self, device: torch.device) -> list[torch.Tensor | None]:
        """What these buffers hold before a launch, where the contract declares it."""
        contract = self._contract_of_buffers()
        return [] if contract is None else beginnings(contract, device)

    def _contract_of_buffers(self) -> BoundContract | None:
        """The contract in force, if the kernel has any use for buffers."""
        if not self._takes_outputs or not self._contracts:
            return None
        return self._contracts[self.workload]

    def _tell_bound(self, index: int, inputs: InputSet, loan: Loan, outputs: tuple[Slot, ...] = ()) -> None:
        """Nothing needs to be said when only the contents have changed."""
        _settle(loan)
        question = runner_protocol.Bind(
            index=index, workload=self.workload, values=inputs.tree, slots=loan.slots, outputs=outputs
        )
        if question != self._told.get(index):
            self.link.ask(question, runner_protocol.Okay, self.limits.correctness_s)
            self._told[index] = question

    def run(self, index: int, *, precisely: bool = False) -> Ran:
        """Call it once on set `index`; what it returned is described, and fetched by `outputs_of`."""
        slots = {what: loan.slots for what, loan in self._results.items()}
        if not precisely:
            slots.pop("precise", None)
        question = runner_protocol.Run(index=index, precisely=precisely, **slots)
        ran = self.link.ask(question, Ran, self.limits.correctness_s)
        self._ran_on = index
        self.peak_bytes = max(filter(None, (self.peak_bytes, ran.peak_bytes)), default=None)
        self._returned_bytes[self.workload] = sum(extent(meta) for meta in self._known(ran.values.tensors))
        return ran

    def outputs_of(self, ran: Ran) -> list[torch.Tensor]:
        """Private copies of what the latest run returned."""
        return self._fetch_results("outputs", self._known(ran.values.tensors), ran)

    def outputs_with_other_inputs(self, index: int, places: Sequence[int]) -> list[torch.Tensor]:
        """What the latest run returned, while some inputs of set `index` are others; `outputs_of` comes before."""
        loan = self._bound[index]
        changed = [loan.tensors[place] for place in places]
        for tensor in changed:
            invert_bits(tensor)
        _settle(loan)
        found = self._export("outputs", self._results["outputs"])
        for tensor in changed:
            invert_bits(tensor)
        _settle(loan)
        return found

    def precise_outputs_of(
        self, ran: Ran, like: Sequence[torch.Tensor], places: Sequence[int]
    ) -> list[torch.Tensor]:
        """Those at `places` of what it returned in float64, rounded to the dtypes of `like` on the way."""
        assert ran.precise is not None
        metas = self._known(ran.precise.tensors)
        for place, tensor in zip(places, like, strict=True):
            metas[place] = dense_form(meta_of(tensor))
        found = self._fetch_results("precise", metas, ran)
        return [found[place] for place in places]

    def _known(self, metas: Sequence[TensorMeta]) -> list[TensorMeta]:
        return [self.dense(meta) for meta in metas]

    def _fetch_results(
        self, what: Literal["outputs", "precise"], metas: list[TensorMeta], ran: Ran
    ) -> list[torch.Tensor]:
        """Where the runner has put them already, nothing needs to be asked. Raises RunnerTrouble."""
        if not metas:
            return []
        loan = self._results.get(what)
        if loan is not None and loan.metas == metas:
            return loan.copies() if what in ran.exported else self._export(what, loan)
        loan = self._results[what] = self._room_to_fetch(what, metas)
        return self._export(what, loan)

    def trespassed(self, index: int) -> list[int]:
        """Arguments of set `index` (inputs, then output buffers) around which the runner has written."""
        inputs, buffers = self._bound[index], self._buffers[index]
        return inputs.trespassed() + [len(inputs.slots) + place for place in buffers.trespassed()]

    def inputs_now(self, index: int, places: Sequence[int]) -> list[torch.Tensor]:
        """Private copies of some tensors of set `index` as they lie there now."""
        lent = self._bound[index].tensors
        return [lent[place].clone() for place in places]

    def changed_inputs(self, index: int, inputs: InputSet) -> list[int]:
        """Which tensors of set `index` no longer hold what the judge put there, by their bits."""
        lent = self._bound[index].tensors
        return places_that_differ(lent, inputs.tensors)

    def launches(self) -> tuple[runner_protocol.LaunchSeen, ...]:
        """What one more call on the set of the latest run launches, as the runner sees it."""
        question = runner_protocol.Launches(index=self._ran_on)
        return self.link.ask(question, runner_protocol.Launched, self.limits.correctness_s).launches

    def dense(self, meta: TensorMeta) -> TensorMeta:
        """How a tensor that this runner described is stored when it is copied. Raises RunnerForged."""
        try:
            return dense_form(meta)
        except UnknownValue as error:
            raise RunnerForged(self.role, str(error)) from None

    def forget_job(self, limit_s: float) -> None:
        """Have the runner let go of its kernel and of what was lent to it. Raises RunnerTrouble."""
        self.link.ask(runner_protocol.ForgetJob(), runner_protocol.Okay, limit_s)

    def release(self) -> None:
        """Let the runner exit and take the lent memory back; it must be dead by now, or have forgotten its job."""
        self._close_archive()
        self.link.close()
        self.borrower.give_back()
        self.lender.release()

    def _fetch(self, what: Made, values: Values, limit_s: float) -> list[torch.Tensor]:
        metas = self._known(values.tensors)
        if not metas:
            return []
        loan = self._room_to_fetch(what, metas)
        copies = self._export(what, loan, limit_s)
        _settle(loan)  # the runner writes to the same place when it is asked for the next ones
        return copies

    def _room_to_fetch(self, what: Made, metas: list[TensorMeta]) -> Loan:
        """Where the runner puts what it says it has made. Raises RunnerFailed where that cannot be."""
        failed = self._announcements.refusal(what, sum(map(extent, metas)))
        if failed is not None:
            raise RunnerFailed(self.role, failed)
        return self.lender.lend(metas, what)

    def _export(self, what: Made, loan: Loan, limit_s: float | None = None) -> list[torch.Tensor]:
        question = runner_protocol.Export(what=what, slots=loan.slots)
        self.link.ask(question, runner_protocol.Okay, limit_s or self.limits.correctness_s)
        return loan.copies()


def _settle(loan: Loan) -> None:
    """Copies on the device must be over before another process reads them."""
    if loan.arena.memory.is_cuda:
        torch.cuda.synchronize()
