"""Output buffers as a kernel meets them: what the contract declares, else what no kernel computes."""

from __future__ import annotations

import torch

from kbd.daemon.executor.tensor_messages import TensorMeta
from kbd.daemon.judge.draw import draw
from kbd.daemon.judge.lending import Loan
from kbd.inbox.bound_contract import BoundContract, BoundTensor


def buffer_metas(contract: BoundContract) -> list[TensorMeta]:
    """One buffer for each pure output."""
    return [
        TensorMeta(shape=tensor.shape, dtype=tensor.dtype.value, stride=tensor.strides)
        for tensor in _pure_outputs(contract)
    ]


def freshen(buffers: Loan, contract: BoundContract | None) -> None:
    """Poison the buffers, then write what their `init` says: a kernel may add to an output that begins as zeros.

    A random init says nothing that a kernel could count on; those buffers stay poisoned.
    """
    buffers.poison()
    if contract is None or not buffers.slots:
        return
    declared = beginnings(contract, buffers.arena.memory.device)
    for lent, beginning in zip(buffers.tensors, declared, strict=True):
        if beginning is not None:
            lent.copy_(beginning)


def beginnings(contract: BoundContract, device: torch.device) -> list[torch.Tensor | None]:
    """What each buffer's `init` says, None where it is random or says nothing."""
    return [_beginning(tensor, device) for tensor in _pure_outputs(contract)]


def _beginning(tensor: BoundTensor, device: torch.device) -> torch.Tensor | None:
    init = tensor.init
    if init is None or tensor.content is not init or init.kind.is_random:
        return None
    return draw(tensor, 0, device, None)


def _pure_outputs(contract: BoundContract) -> list[BoundTensor]:
    return [arg.tensor for arg in contract.outputs if arg.tensor is not None and not arg.is_input]
