"""Where the inputs of a trial come from: the contract (drawn by the judge) or the reference's `get_inputs()`.

Either way the judge holds the master copy, and each kernel gets a copy of its own. A candidate never makes its
own inputs unless there is no reference at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from kbd.daemon.executor.protocol import WorkloadPlan
from kbd.daemon.judge.bits import WORDS
from kbd.daemon.judge.draw import BadData, draw
from kbd.daemon.judge.hosted_kernel import HostedKernel, InputSet
from kbd.daemon.judge.room import require_room
from kbd.daemon.judge.session import Session
from kbd.daemon.runner.values import pack
from kbd.inbox.bound_contract import BoundArg, BoundContract, BoundTensor
from kbd.inbox.tensor_init import InitKind, TensorInit

INDEPENDENT = frozenset({InitKind.RANDN, InitKind.UNIFORM, InitKind.RANDINT})
FEWEST_EXCHANGED = 4


@dataclass(frozen=True)
class TrialInputs:
    """The same tensors as each kernel is called with them; `may_change` are the places of inout tensors."""

    candidate: InputSet
    reference: InputSet
    names: Sequence[str]
    may_change: frozenset[int] = frozenset()


class InputSource(Protocol):
    """Makes inputs from seeds."""

    pinned: bool

    @property
    def contract(self) -> BoundContract | None:
        """What says how the inputs are drawn; None where a module makes them."""

    def draw(self, seed: int, *, first: bool) -> TrialInputs:
        """Fresh inputs; `first` allows the seeds that the contract itself gives."""

    def altered(self, inputs: TrialInputs) -> TrialInputs | None:
        """The same inputs with elements exchanged; None where nobody can say which of them may be."""


def input_source(session: Session, plan: WorkloadPlan) -> InputSource:
    """The contract where there is one, else the module that brings its inputs. Raises BadData or TooLarge."""
    if session.device.type == "cpu":
        for contract in filter(None, (plan.inputs, plan.candidate, plan.reference)):
            require_room(contract, compared=session.reference is not None)
    if plan.inputs is not None:
        return ContractInputs(plan, plan.inputs, session.device, session.folder)
    owner = session.reference or session.candidate
    if not owner.makes_inputs:
        raise BadData(
            f"nothing says what the kernels are called with: expected an `io` contract or a function get_inputs() "
            f"in the {owner.role}, found neither"
        )
    return ModuleInputs(owner)


class ModuleInputs:
    """Inputs as a module's `get_inputs()` makes them, in that module's runner."""

    pinned = False
    contract: BoundContract | None = None

    def __init__(self, owner: HostedKernel) -> None:
        self._owner = owner

    def draw(self, seed: int, *, first: bool) -> TrialInputs:
        """Call `get_inputs()` under this seed."""
        del first
        made = self._owner.make_inputs(seed)
        return TrialInputs(made, made, [f"input{place}" for place in range(len(made.tensors))])

    def altered(self, inputs: TrialInputs) -> TrialInputs | None:
        """Nobody knows what holds between the elements: they may be sorted, symmetric, a mask."""
        del inputs
        return None


class ContractInputs:
    """Inputs drawn by the judge as the job's contract says."""

    def __init__(
        self, plan: WorkloadPlan, contract: BoundContract, device: torch.device, folder: Path | None
    ) -> None:
        self.contract: BoundContract = contract
        self._candidate = plan.candidate or contract
        self._reference = plan.reference or contract
        self._device = device
        self._folder = folder
        self.pinned = contract.has_pinned_inputs

    def draw(self, seed: int, *, first: bool) -> TrialInputs:
        """Every tensor under a seed of its own."""
        tensors = [
            draw(tensor, _seed(tensor, seed, place, first=first), self._device, self._folder)
            for place, arg in enumerate(self.contract.input_tensors)
            if (tensor := arg.tensor) is not None
        ]
        return self._as_called(tensors)

    def altered(self, inputs: TrialInputs) -> TrialInputs | None:
        """Elements that were drawn independently may change places: what is left is as good an input."""
        args = self.contract.input_tensors
        tensors = [
            _exchanged(tensor) if _drawn_independently(arg) else tensor
            for arg, tensor in zip(args, inputs.reference.tensors, strict=True)
        ]
        if all(new is old for new, old in zip(tensors, inputs.reference.tensors, strict=True)):
            return None
        return self._as_called(tensors)

    def _as_called(self, tensors: Sequence[torch.Tensor]) -> TrialInputs:
        called = self._candidate.input_tensors
        return TrialInputs(
            candidate=_called_by(self._candidate, tensors),
            reference=_called_by(self._reference, tensors),
            names=[arg.name for arg in called],
            may_change=frozenset(place for place, arg in enumerate(called) if arg.is_output),
        )


def _drawn_independently(arg: BoundArg) -> bool:
    content = None if arg.tensor is None else arg.tensor.content
    return isinstance(content, TensorInit) and content.kind in INDEPENDENT


def _exchanged(tensor: torch.Tensor) -> torch.Tensor:
    """The middle half of the elements in reverse: sum, extremes, beginning and end stay as they are."""
    count = tensor.numel()
    if count < FEWEST_EXCHANGED:
        return tensor
    flat = tensor.reshape(-1).clone()
    words = flat.view(WORDS[flat.dtype.itemsize])  # narrow floats cannot be reversed as such
    middle = slice(count // 4, count - count // 4)
    words[middle] = words[middle].flip(0)
    changed = flat.reshape(tensor.shape)
    if tensor.is_contiguous():
        return changed
    placed = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device)
    return placed.copy_(changed)


def _seed(tensor: BoundTensor, seed: int, place: int, *, first: bool) -> int:
    if first and tensor.init is not None and tensor.init.seed is not None:
        return tensor.init.seed
    return int(np.random.SeedSequence(seed, spawn_key=(place,)).generate_state(1, np.uint32)[0])


def _called_by(contract: BoundContract, tensors: Sequence[torch.Tensor]) -> InputSet:
    """The positional arguments of a kernel with this contract: tensors by position, scalars by value."""
    remaining = iter(tensors)
    arguments: list[Any] = [arg.value if arg.tensor is None else next(remaining) for arg in contract.inputs]
    tree, packed = pack(arguments)
    return InputSet(tree, packed)
