"""Payloads of the original kernel evaluation server, version 2: compare and evaluate."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from kbd.inbox.contract import ArgSpec, InitKind, IOContract
from kbd.inbox.errors import InvalidJob
from kbd.inbox.evaluation import Evaluation
from kbd.inbox.folder_files import FolderFiles
from kbd.inbox.formats.native import data_file_problems
from kbd.inbox.kernel_code import KernelCode
from kbd.inbox.kernel_source import defines, dynamic_shared_element_bytes
from kbd.inbox.manifest import MAX_TIMEOUT_S, JobManifest
from kbd.inbox.tolerance import Tolerance
from kbd.inbox.validation import StrictModel, construct, relocated, validate

DEFAULT_TOLERANCE = 1e-2
"""Of atol and rtol where a payload gives none: what KernelBench has always compared with, and V2 after it."""

_COMPARE_PLACES = {
    "/io": "/ref_kernel/io",
    "/reference": "/ref_kernel",
    "/candidate": "/custom_kernel",
    "/evaluation/tolerance": "",
    "/evaluation": "",
}
_EVALUATE_PLACES = {"/io": "/kernel/io", "/candidate": "/kernel", "/evaluation": ""}

Trials = Annotated[int, Field(ge=1, le=1_000_000)]
Timeout = Annotated[float, Field(gt=0, le=MAX_TIMEOUT_S)]
Bound = Annotated[float, Field(ge=0)]


class CompareRequest(StrictModel):
    """`/compare`: one kernel against another."""

    ref_kernel: Annotated[KernelCode, Field(description="the kernel to compare with")]
    custom_kernel: Annotated[KernelCode, Field(description="the kernel under test")]
    num_trials: Trials = 100
    timeout: Timeout = 120.0
    atol: Bound | None = None
    rtol: Bound | None = None


class EvaluateRequest(StrictModel):
    """`/evaluate`: one kernel alone."""

    kernel: Annotated[KernelCode, Field(description="the kernel to measure")]
    num_trials: Trials = 100
    timeout: Timeout = 120.0


def read_v2_compare(
    document: Mapping[str, object], *, default_id: str, folder: FolderFiles | None
) -> JobManifest:
    """`{ref_kernel, custom_kernel, num_trials, timeout, atol, rtol}`.

    The reference's inputs are the job's; they replace the candidate's, matched by position. Where the reference
    neither has a contract nor makes its own inputs, the candidate's contract is all there is, and becomes the
    job's. Tolerances left out are DEFAULT_TOLERANCE. Raises InvalidJob.
    """
    request = validate(CompareRequest, _lenient(document, ("ref_kernel", "custom_kernel")))
    job_io, candidate_io = _contracts(request.ref_kernel, request.custom_kernel)
    return _build(
        _COMPARE_PLACES if request.ref_kernel.io else {**_COMPARE_PLACES, "/io": "/custom_kernel/io"},
        folder,
        id=default_id,
        reference=request.ref_kernel.model_copy(update={"io": None}),
        candidate=request.custom_kernel.model_copy(update={"io": candidate_io}),
        io=job_io,
        evaluation=Evaluation(
            num_trials=request.num_trials, tolerance=given_tolerance(request.atol, request.rtol)
        ),
        timeout=request.timeout,
    )


def read_v2_evaluate(
    document: Mapping[str, object], *, default_id: str, folder: FolderFiles | None
) -> JobManifest:
    """`{kernel, num_trials, timeout}`: a candidate without a reference. Raises InvalidJob."""
    request = validate(EvaluateRequest, _lenient(document, ("kernel",)))
    return _build(
        _EVALUATE_PLACES,
        folder,
        id=default_id,
        candidate=request.kernel.model_copy(update={"io": None}),
        io=request.kernel.io,
        evaluation=Evaluation(num_trials=request.num_trials),
        timeout=request.timeout,
    )


def given_tolerance(atol: float | None, rtol: float | None) -> Tolerance:
    """The tolerance of a payload, DEFAULT_TOLERANCE for what it leaves out."""
    return Tolerance(
        atol=DEFAULT_TOLERANCE if atol is None else atol, rtol=DEFAULT_TOLERANCE if rtol is None else rtol
    )


def _build(places: Mapping[str, str], folder: FolderFiles | None, **fields: Any) -> JobManifest:
    """The manifest; problems point into the payload."""
    try:
        manifest = construct(JobManifest, **fields)
        problems = tuple(data_file_problems(manifest, folder))
    except InvalidJob as error:
        problems = error.problems
    if problems:
        raise InvalidJob(relocated(problems, places))
    return manifest


def _contracts(reference: KernelCode, candidate: KernelCode) -> tuple[IOContract | None, IOContract | None]:
    """The job's contract and the candidate's own."""
    if reference.io is not None:
        return reference.io, None if candidate.io is None else _with_inputs_of(reference.io, candidate.io)
    if defines(reference.source_code, "get_inputs"):
        return None, candidate.io
    return candidate.io, None


def _with_inputs_of(owner: IOContract, contract: IOContract) -> IOContract:
    """The contract with the content of its k-th input tensor replaced by the owner's k-th.

    Shapes, dtypes and number are left as they are: JobManifest refuses those that do not agree.
    """
    owned = iter([arg for arg in owner.args if _is_input_tensor(arg)])
    args = tuple(
        _with_content_of(source, arg) if _is_input_tensor(arg) and (source := next(owned, None)) else arg
        for arg in contract.args
    )
    return contract.model_copy(update={"args": args})


def _is_input_tensor(arg: ArgSpec) -> bool:
    return arg.tensor_spec is not None and arg.role != "output"


def _with_content_of(owner: ArgSpec, arg: ArgSpec) -> ArgSpec:
    if owner.tensor_spec is None or arg.tensor_spec is None:
        return arg
    content = {"init": owner.tensor_spec.init, "data": owner.tensor_spec.data}
    return arg.model_copy(update={"tensor_spec": arg.tensor_spec.model_copy(update=content)})


def _lenient(document: Mapping[str, object], kernels: tuple[str, ...]) -> dict[str, object]:
    """The payload with what V2 clients send and the original server ignored put right, contracts only.

    Its client fills in every parameter of an init, and leaves the shape and dtype of literal data to the data.
    """
    return {key: _lenient_kernel(value) if key in kernels else value for key, value in document.items()}


def _lenient_kernel(kernel: object) -> object:
    io = kernel.get("io") if isinstance(kernel, dict) else None
    args = io.get("args") if isinstance(io, dict) else None
    if not (isinstance(kernel, dict) and isinstance(io, dict) and isinstance(args, list)):
        return kernel
    io = {**io, "args": [_lenient_arg(arg) for arg in args]}
    return {
        **kernel,
        "io": io | {"launch": _lenient_launch(kernel, io["launch"])} if io.get("launch") else io,
    }


def _lenient_launch(kernel: dict[str, object], launch: object) -> object:
    """One element of dynamic shared memory per thread, where the source uses some and the payload does not say.

    That is what block reductions are written for; V2 clients could leave it out.
    """
    source = kernel.get("source_code")
    if not isinstance(launch, dict) or launch.get("shared_mem_bytes") is not None:
        return launch
    if kernel.get("kernel_type") != "cuda" or not isinstance(source, str):
        return launch
    element, block = dynamic_shared_element_bytes(source), launch.get("block")
    sizes = list(block.values()) if isinstance(block, dict) else block if isinstance(block, list) else [block]
    if element is None or not all(type(size) is int for size in sizes):
        return launch
    return {**launch, "shared_mem_bytes": element * math.prod(sizes)}


def _lenient_arg(arg: object) -> object:
    spec = arg.get("tensor_spec") if isinstance(arg, dict) else None
    if not (isinstance(arg, dict) and isinstance(spec, dict)):
        return arg
    spec = dict(spec)
    if isinstance(init := spec.get("init"), dict):
        spec["init"] = _lenient_init(init)
    if isinstance(data := spec.get("data"), dict):
        for name in ("shape", "dtype"):
            if not spec.get(name) and data.get(name) is not None:
                spec[name] = data[name]
    return {**arg, "tensor_spec": spec}


def _lenient_init(init: dict[str, object]) -> dict[str, object]:
    try:
        used = InitKind(str(init.get("kind", "randn"))).parameters
    except ValueError:
        return init
    unused = frozenset().union(*(kind.parameters for kind in InitKind)) - used
    return {name: value for name, value in init.items() if name not in unused}
