"""Whether a contract fits the kernel that it launches, said before anything is launched."""

from __future__ import annotations

from collections.abc import Sequence

from kbd.backends.base import CompileFailed
from kbd.backends.cuda_source import CudaParameter
from kbd.inbox.bound_contract import BoundArg, BoundContract


def check_arguments(name: str, parameters: Sequence[CudaParameter] | None, contract: BoundContract) -> None:
    """As many arguments as parameters, tensors for pointers, floats of the same width. Raises CompileFailed.

    Parameters that could not be read (None) are not checked.
    """
    if parameters is None:
        return
    described = f"{name}({', '.join(parameter.text for parameter in parameters)})"
    if len(parameters) != len(contract.args):
        names = ", ".join(arg.name for arg in contract.args) or "none"
        raise CompileFailed(
            f"{described} takes {len(parameters)} arguments, the contract has {len(contract.args)}: {names}",
            hint="give io.args in the order of the kernel's parameters",
        )
    for place, (parameter, arg) in enumerate(zip(parameters, contract.args, strict=True)):
        if (problem := _problem(parameter, arg)) is not None:
            raise CompileFailed(
                f"argument {place} of {described}: {problem}", hint=f"correct io.args[{place}] or the kernel"
            )


def _problem(parameter: CudaParameter, arg: BoundArg) -> str | None:
    if arg.tensor is None:
        if arg.type == "str":
            return f"{arg.name} is text, which no CUDA kernel takes"
        is_scalar = not parameter.is_pointer
        return None if is_scalar else f"expected a tensor for {parameter.text}, found {arg.type} {arg.name}"
    if not parameter.is_pointer:
        known = parameter.passed_as is not None
        return f"expected a number for {parameter.text}, found tensor {arg.name}" if known else None
    wanted, dtype = parameter.floating_bytes, arg.tensor.dtype
    if wanted is not None and dtype.is_floating and dtype.itemsize != wanted:
        return f"expected elements of {wanted} bytes for {parameter.text}, found {arg.name} of {dtype}"
    return None
