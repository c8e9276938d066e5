"""The arguments of a bare kernel: what the judge hands over, put back into the order of the contract.

The judge passes what `contract.inputs` lists; compile-time constants come from the contract; pure outputs are the
judge's buffers where it lends them, else memory of the runner's own that holds nothing useful beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from kbd.backends.base import LoadFailed
from kbd.inbox.bound_contract import BoundArg, BoundContract, BoundTensor
from kbd.inbox.tensor_data import TensorData
from kbd.inbox.tensor_init import InitKind

_CONSTANT_INITS = {InitKind.ZEROS: 0, InitKind.ONES: 1}


@dataclass(frozen=True)
class BareArguments:
    """The arguments of one call: `values` in the order of `contract.args`, and the tensors that hold the outputs.

    `initial` are outputs that have to hold this content before each call, because the kernel adds to them.
    """

    values: list[Any]
    outputs: list[torch.Tensor]
    initial: list[tuple[torch.Tensor, float | int]]


def arrange(
    contract: BoundContract,
    inputs: list[Any],
    outputs: list[torch.Tensor],
    device: torch.device,
    *,
    accumulates: bool,
) -> BareArguments:
    """Match inputs and buffers with the contract. Raises LoadFailed when their number differs from it."""
    _check_number("inputs", len(contract.inputs), len(inputs))
    pure = [arg for arg in contract.outputs if not arg.is_input]
    buffers = outputs or [allocate(arg.tensor, device) for arg in pure if arg.tensor is not None]
    _check_number("output buffers", len(pure), len(buffers))
    given = {arg.name: _scalar(arg, value) for arg, value in zip(contract.inputs, inputs, strict=True)}
    given |= {arg.name: buffer for arg, buffer in zip(pure, buffers, strict=True)}
    return BareArguments(
        values=[given[arg.name] if arg.name in given else _scalar(arg, arg.value) for arg in contract.args],
        outputs=[given[arg.name] for arg in contract.outputs],
        initial=[
            (buffer, initial_content(arg.tensor) or 0)
            for arg, buffer in zip(pure, buffers, strict=True)
            if accumulates and arg.tensor is not None
        ],
    )


def _check_number(what: str, expected: int, found: int) -> None:
    if expected != found:
        raise LoadFailed(f"the contract has {expected} {what}, the call has {found}")


def _scalar(arg: BoundArg, value: Any) -> Any:
    """Scalars are passed by their declared type, however they were written."""
    if arg.type == "float":
        return float(value)
    return value


def initial_content(tensor: BoundTensor) -> float | int | None:
    """The constant that an output holds before the call, where the contract says so."""
    init = tensor.init
    if init is None or isinstance(tensor.content, TensorData):
        return None
    value = init.fill_value if init.kind is InitKind.FULL else _CONSTANT_INITS.get(init.kind)
    return None if value is None else _as_stored(value, getattr(torch, tensor.dtype.value))


def _as_stored(value: float, dtype: torch.dtype) -> float | int:
    """The value once it has been rounded to the dtype; torch fills nothing with what does not fit."""
    wide = torch.float64 if dtype.is_floating_point else torch.int64
    stored: float | int = torch.full((), value, dtype=wide).to(dtype).item()
    return stored


def allocate(tensor: BoundTensor, device: torch.device) -> torch.Tensor:
    """A buffer for an output: its declared content, else bytes that no kernel leaves behind by being right.

    All bits set is NaN for every floating type and -1 or the largest value for integers.
    """
    dtype = getattr(torch, tensor.dtype.value)
    memory = torch.empty(max(tensor.extent, 1), dtype=dtype, device=device)
    content = initial_content(tensor)
    if content is not None:
        memory.fill_(content)
    elif dtype is torch.bool:
        memory.fill_(True)
    else:
        memory.view(torch.uint8).fill_(0xFF)
    if tensor.strides is None:
        return memory[: tensor.elements].view(tensor.shape)
    return memory.as_strided(tensor.shape, tensor.strides)


def with_initial_content(
    arguments: BareArguments, launch: Callable[[], object]
) -> Callable[[], list[torch.Tensor]]:
    """The call itself: outputs that are added to are filled, the kernel is launched, the outputs are returned."""
    outputs, initial = arguments.outputs, arguments.initial

    def call() -> list[torch.Tensor]:
        for buffer, content in initial:
            buffer.fill_(content)
        launch()
        return outputs

    return call
