"""Arguments as a CUDA kernel reads them: one C value each, and the array of their addresses."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch

from kbd.backends.base import LaunchFailed
from kbd.backends.cuda_source import CudaParameter
from kbd.inbox.bound_contract import BoundArg, BoundContract

INT64_LIMIT = 1 << 63
_NARROW = {"half": torch.float16, "bfloat16": torch.bfloat16}


def packed(
    contract: BoundContract, parameters: Sequence[CudaParameter] | None, values: Sequence[Any]
) -> tuple[list[Any], Any]:
    """The values in the order of `contract.args`, and pointers to them. Both have to outlive every launch."""
    made = [
        _c_value(arg, parameters[place].passed_as if parameters else None, value)
        for place, (arg, value) in enumerate(zip(contract.args, values, strict=True))
    ]
    pointers = (ctypes.c_void_p * max(len(made), 1))(*(ctypes.addressof(value) for value in made))
    return made, pointers


def _c_value(arg: BoundArg, passed_as: str | None, value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return ctypes.c_void_p(value.data_ptr())
    passed_as = passed_as or _by_declaration(arg, value)
    if passed_as in _NARROW:
        bits = torch.tensor(float(value), dtype=_NARROW[passed_as]).view(torch.int16).item()
        return ctypes.c_uint16(int(bits) & 0xFFFF)
    kind = getattr(ctypes, passed_as)
    if kind in (ctypes.c_float, ctypes.c_double):
        return kind(float(value))
    if kind is ctypes.c_bool:
        return kind(bool(value))
    return _integer(arg, kind, value)


def _by_declaration(arg: BoundArg, value: Any) -> str:
    """For a parameter whose type only the compiler knows.

    A kernel reads as many bytes as its parameter has, so integers are given all that there may be: on a
    little-endian device the first ones are the same number in fewer bits.
    """
    if arg.type == "float":
        return "c_float"
    return "c_int64" if int(value) < INT64_LIMIT else "c_uint64"


def _integer(arg: BoundArg, kind: Any, value: Any) -> Any:
    number = int(value)
    made = kind(number)
    if made.value != number or number != value:
        bits = 8 * ctypes.sizeof(kind)
        raise LaunchFailed(
            f"{arg.name} = {value} does not fit the kernel's parameter, an integer of {bits} bits",
            hint="use a wider type in the kernel, or a smaller value",
        )
    return made
