"""Whether a candidate's own argument list takes exactly the job's inputs.

A candidate may say where its outputs go and how it is launched; it can never choose what it is given.
"""

from collections.abc import Iterator

from kbd.inbox.bound_contract import BoundArg, BoundContract, BoundTensor
from kbd.inbox.errors import Problem

_OWNED_HINT = "the job's inputs go to both kernels, matched by position"


def disagreements(job: BoundContract, candidate: BoundContract) -> Iterator[Problem]:
    """Where the candidate's inputs are not the job's; pointers are relative to the candidate's contract.

    Tensors are matched by position among the input tensors, scalars by name where both have it.
    """
    places = {arg.name: index for index, arg in enumerate(candidate.args)}
    if len(job.input_tensors) != len(candidate.input_tensors):
        expected = f"{len(job.input_tensors)} ({_names(job.input_tensors)})"
        found = f"{len(candidate.input_tensors)} ({_names(candidate.input_tensors)})"
        yield Problem("/args", "wrong number of input tensors", expected, found, _OWNED_HINT)
        return
    for owner, arg in zip(job.input_tensors, candidate.input_tensors, strict=True):
        if owner.tensor is not None and arg.tensor is not None:
            pointer = f"/args/{places[arg.name]}/tensor_spec"
            yield from _tensor_disagreements(owner, owner.tensor, arg.tensor, pointer)
    yield from _scalar_disagreements(job, candidate, places)


def _tensor_disagreements(
    owner: BoundArg, wanted: BoundTensor, found: BoundTensor, pointer: str
) -> Iterator[Problem]:
    what = f"not that of the job's input {owner.name}"
    if wanted.shape != found.shape:
        yield Problem(f"{pointer}/shape", what, str(list(wanted.shape)), str(list(found.shape)), _OWNED_HINT)
    if wanted.dtype != found.dtype:
        yield Problem(f"{pointer}/dtype", what, wanted.dtype, found.dtype, _OWNED_HINT)
    if wanted.strides != found.strides:
        yield Problem(f"{pointer}/strides", what, str(wanted.strides), str(found.strides), _OWNED_HINT)
    if wanted.content != found.content:
        hint = "remove init and data from the candidate"
        yield Problem(pointer, f"another content than the job's input {owner.name}", hint=hint)


def _scalar_disagreements(
    job: BoundContract, candidate: BoundContract, places: dict[str, int]
) -> Iterator[Problem]:
    owned = {arg.name: arg.value for arg in job.args if arg.type != "tensor"}
    for arg in candidate.args:
        if arg.type != "tensor" and arg.name in owned and arg.value != owned[arg.name]:
            pointer = f"/args/{places[arg.name]}/value"
            hint = "both kernels get the same scalars"
            yield Problem(pointer, f"not the job's {arg.name}", str(owned[arg.name]), str(arg.value), hint)


def _names(args: tuple[BoundArg, ...]) -> str:
    return ", ".join(arg.name for arg in args) or "none"
