"""One kernel in its runner, as the judge handles it: load, bind inputs, run, fetch outputs, time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from kbd.daemon.executor import runner_protocol
from kbd.daemon.executor.protocol import Role, StageLimits
from kbd.daemon.executor.runner_protocol import TensorMeta, Values
from kbd.daemon.judge.lending import Lender, Loan
from kbd.daemon.judge.runner_link import RunnerForged, RunnerLink
from kbd.daemon.runner.values import UnknownValue, dtype_named, meta_of
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

    def __init__(self, link: RunnerLink, device_kind: str, limits: StageLimits) -> None:
        self.link = link
        self.setup_us = 0.0
        self.makes_inputs = False
        self.init_inputs: InputSet | None = None
        self.peak_bytes: int | None = None
        self.workload = 0
        self._limits = limits
        self._lender = Lender(link, device_kind, limits.load_s)
        self._bound: dict[int, Loan] = {}
        self._outputs: Loan | None = None

    @property
    def role(self) -> Role:
        """Whose kernel it is."""
        return self.link.role

    def load(
        self,
        kernel: KernelCode,
        contracts: Sequence[BoundContract],
        seed: int,
        init_inputs: InputSet | None,
    ) -> None:
        """Load it; without `init_inputs` the module's own are taken and kept for the other kernel."""
        question = runner_protocol.Load(
            role=self.role,
            kernel=kernel,
            contracts=tuple(contracts),
            init_seed=seed,
            **self._given(init_inputs),
        )
        loaded = self.link.ask(question, runner_protocol.Loaded, self._limits.load_s)
        self.setup_us = loaded.setup_us
        self.makes_inputs = loaded.makes_inputs
        if init_inputs is None and loaded.init_inputs is not None:
            tensors = self._fetch("init_inputs", loaded.init_inputs, self._limits.load_s)
            self.init_inputs = InputSet(loaded.init_inputs.tree, tensors)

    def _given(self, init_inputs: InputSet | None) -> dict[str, Any]:
        if init_inputs is None:
            return {}
        loan = self._lender.lend(init_inputs.metas) if init_inputs.tensors else None
        if loan is not None:
            loan.fill(init_inputs.tensors)
        values = Values(tree=init_inputs.tree, tensors=tuple(init_inputs.metas))
        return {"init_inputs": values, "init_slots": loan.slots if loan else ()}

    def make_inputs(self, seed: int) -> InputSet:
        """Inputs of the module's own `get_inputs()`, copied out of its reach."""
        limit_s = self._limits.correctness_s
        made = self.link.ask(runner_protocol.MakeInputs(seed=seed), runner_protocol.Made, limit_s)
        return InputSet(made.values.tree, self._fetch("inputs", made.values, limit_s))

    def bind(self, index: int, inputs: InputSet) -> None:
        """Copy an input set to where this runner sees it as set `index`."""
        loan = self._bound.get(index)
        if loan is None or [slot.meta for slot in loan.slots] != inputs.metas:
            loan = self._bound[index] = self._lender.lend(inputs.metas)
        loan.fill(inputs.tensors)
        self._tell_bound(index, inputs, loan)

    def bind_all(self, sets: Sequence[InputSet]) -> None:
        """Bind sets 0, 1, … in one piece of memory: sharing memory with a process costs milliseconds a piece."""
        whole = self._lender.lend([meta for inputs in sets for meta in inputs.metas])
        slots = iter(whole.slots)
        for index, inputs in enumerate(sets):
            loan = self._bound[index] = Loan(whole.arena, tuple(itertools.islice(slots, len(inputs.tensors))))
            loan.fill(inputs.tensors)
            self._tell_bound(index, inputs, loan)

    def _tell_bound(self, index: int, inputs: InputSet, loan: Loan) -> None:
        _settle(loan)
        question = runner_protocol.Bind(
            index=index, workload=self.workload, values=inputs.tree, slots=loan.slots
        )
        self.link.ask(question, runner_protocol.Okay, self._limits.correctness_s)

    def run(self, index: int) -> Values:
        """Call it once on set `index`; what it returned is described, not yet copied."""
        ran = self.link.ask(runner_protocol.Run(index=index), runner_protocol.Ran, self._limits.correctness_s)
        self.peak_bytes = max(filter(None, (self.peak_bytes, ran.peak_bytes)), default=None)
        return ran.values

    def fetch_outputs(self, values: Values) -> list[torch.Tensor]:
        """Private copies of what the latest run returned."""
        return self._fetch("outputs", values, self._limits.correctness_s)

    def inputs_now(self, index: int, places: Sequence[int]) -> list[torch.Tensor]:
        """Private copies of some tensors of set `index` as they lie there now."""
        lent = self._bound[index].tensors
        return [lent[place].clone() for place in places]

    def changed_inputs(self, index: int, inputs: InputSet) -> list[int]:
        """Which tensors of set `index` no longer hold what the judge put there, by their bits."""
        lent = self._bound[index].tensors
        return [
            place
            for place, pair in enumerate(zip(lent, inputs.tensors, strict=True))
            if not _same_bits(*pair)
        ]

    def prepare(self, sets: int, lengths: Sequence[int], method: str) -> runner_protocol.Prepared:
        """Have bursts of these lengths ready."""
        question = runner_protocol.Prepare(sets=sets, lengths=tuple(lengths), method=method)
        return self.link.ask(question, runner_protocol.Prepared, self._limits.timing_s)

    def burst(self, index: int) -> tuple[float, float]:
        """Run a burst: microseconds by the judge's clock, and what the runner claims."""
        measured_us, done = self.link.ask_timed(
            runner_protocol.Burst(index=index), runner_protocol.Done, self._limits.timing_s
        )
        return measured_us, done.claimed_us

    def release(self) -> None:
        """Let the runner exit and take the lent memory back; the runner must be dead by now."""
        self.link.close()
        self._lender.release()

    def _fetch(self, what: Any, values: Values, limit_s: float) -> list[torch.Tensor]:
        try:
            metas = [_dense(meta) for meta in values.tensors]
        except UnknownValue as error:
            raise RunnerForged(self.role, str(error)) from None
        if not metas:
            return []
        if what != "outputs":
            return self._export(what, self._lender.lend(metas), limit_s)
        if self._outputs is None or [slot.meta for slot in self._outputs.slots] != metas:
            self._outputs = self._lender.lend(metas)
        return self._export(what, self._outputs, limit_s)

    def _export(self, what: Any, loan: Loan, limit_s: float) -> list[torch.Tensor]:
        self.link.ask(runner_protocol.Export(what=what, slots=loan.slots), runner_protocol.Okay, limit_s)
        return loan.copies()


def _dense(meta: TensorMeta) -> TensorMeta:
    """Strides survive where they describe a permutation; a broadcast or sliced tensor is stored row-major.

    Raises UnknownValue for a dtype that does not exist.
    """
    dtype_named(meta.dtype)
    if meta.stride is None or not _is_permutation(meta):
        return TensorMeta(shape=meta.shape, dtype=meta.dtype)
    return TensorMeta(shape=meta.shape, dtype=meta.dtype, stride=meta.stride)


def _is_permutation(meta: TensorMeta) -> bool:
    assert meta.stride is not None
    step = 1
    for stride, size in sorted(zip(meta.stride, meta.shape, strict=True)):
        if size != 1 and stride != step:
            return False
        step *= size
    return True


def _same_bits(left: torch.Tensor, right: torch.Tensor) -> bool:
    if left.numel() == 0:
        return True
    return torch.equal(*(side.contiguous().reshape(-1).view(torch.uint8) for side in (left, right)))


def _settle(loan: Loan) -> None:
    """Copies on the device must be over before another process reads them."""
    if loan.arena.memory.is_cuda:
        torch.cuda.synchronize()
