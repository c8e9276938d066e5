"""Whether a kernel and its contract fit together, as far as text can tell."""

from collections.abc import Iterator

from kbd.inbox.bound_contract import BoundContract
from kbd.inbox.contract import IOContract
from kbd.inbox.errors import Problem
from kbd.inbox.kernel_code import KernelCode
from kbd.inbox.kernel_source import (
    cuda_kernels,
    has_python_entry,
    triton_kernels,
    uses_dynamic_shared_memory,
)


def kernel_problems(
    kernel: KernelCode, contract: IOContract | None, pointer: str, contract_pointer: str
) -> Iterator[Problem]:
    """What is wrong between a kernel of a bare type (cuda, triton) and its contract. Other types: nothing.

    Args:
        kernel: lies at `pointer` of the document.
        contract: its contract, at `contract_pointer`.
        pointer: for problems of the kernel.
        contract_pointer: for problems of the contract.
    """
    if kernel.kernel_type == "cuda":
        yield from _cuda_problems(kernel, contract, pointer, contract_pointer)
    elif kernel.kernel_type == "triton" and is_bare_triton(kernel, contract):
        yield from _triton_problems(kernel, contract, pointer, contract_pointer)


def is_bare_triton(kernel: KernelCode, contract: IOContract | BoundContract | None) -> bool:
    """Whether a Triton source is launched by kbd itself, rather than by Python code of its own."""
    if contract is not None and contract.launch is not None:
        return not any(kernel.metadata.get(key) for key in ("class_name", "function_name"))
    return not has_python_entry(kernel.source_code) and bool(triton_kernels(kernel.source_code))


def _cuda_problems(
    kernel: KernelCode, contract: IOContract | None, pointer: str, contract_pointer: str
) -> Iterator[Problem]:
    names = cuda_kernels(kernel.source_code)
    if not names:
        hint = "kernel_type cuda is raw CUDA C++; Python that builds CUDA is torch_cuda"
        yield Problem(
            f"{pointer}/source_code", "no kernel in the source", "a __global__ function", "none", hint
        )
    elif len(names) > 1 and not (
        kernel.metadata.get("kernel_name") or kernel.metadata.get("name_expressions")
    ):
        yield _nameless(names, pointer)
    yield from _contract_problems(contract, contract_pointer, ("grid", "block"))
    if contract is not None and contract.launch is not None and contract.launch.tuned:
        where, hint = f"{contract_pointer}/launch/tuned", "give these names a value in args"
        found = ", ".join(contract.launch.tuned)
        yield Problem(where, "a CUDA kernel has no configurations of its own", "nothing", found, hint)
    shared = None if contract is None or contract.launch is None else contract.launch.shared_mem_bytes
    if shared is None and uses_dynamic_shared_memory(kernel.source_code):
        where = f"{contract_pointer}/launch/shared_mem_bytes"
        hint = (
            "say how many bytes extern __shared__ needs: one float for each of 256 threads are 1024 "
            "(0 if the kernel that is called needs none)"
        )
        yield Problem(where, "the source uses dynamic shared memory", "a number of bytes", "null", hint)


def _triton_problems(
    kernel: KernelCode, contract: IOContract | None, pointer: str, contract_pointer: str
) -> Iterator[Problem]:
    names = triton_kernels(kernel.source_code)
    if not names and not has_python_entry(kernel.source_code):
        hint = "decorate the kernel with @triton.jit"
        yield Problem(
            f"{pointer}/source_code", "no kernel in the source", "a @triton.jit function", "none", hint
        )
    elif len(names) > 1 and not any(
        kernel.metadata.get(key) for key in ("kernel_name", "class_name", "function_name")
    ):
        yield _nameless(names, pointer)
    yield from _contract_problems(contract, contract_pointer, ("grid",))


def _nameless(names: tuple[str, ...], pointer: str) -> Problem:
    hint = "name the one to call in metadata.kernel_name"
    message = "several kernels are defined and none is named"
    return Problem(f"{pointer}/metadata/kernel_name", message, f"one of {', '.join(names)}", "null", hint)


def _contract_problems(
    contract: IOContract | None, pointer: str, launch_fields: tuple[str, ...]
) -> Iterator[Problem]:
    if contract is None:
        hint = "describe its args and its launch in io"
        yield Problem(pointer, "a bare kernel needs a contract", "{args, launch}", "null", hint)
        return
    if not any(arg.role != "input" for arg in contract.args):
        hint = "give an argument the role output or inout"
        yield Problem(
            f"{pointer}/args", "the kernel has no output to judge", "an output", "inputs only", hint
        )
    for field in launch_fields:
        if contract.launch is None or getattr(contract.launch, field) is None:
            where = f"{pointer}/launch/{field}"
            hint = f"set {field}, for example {{x: 128}}"
            yield Problem(where, f"a bare kernel needs a {field}", "{x, y, z}", "null", hint)
