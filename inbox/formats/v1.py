"""The legacy payload of the original kernel evaluation server, version 1."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from kbd.inbox.errors import InvalidJob
from kbd.inbox.evaluation import Evaluation
from kbd.inbox.folder_files import FolderFiles
from kbd.inbox.formats.v2 import Bound, Timeout, Trials, given_tolerance
from kbd.inbox.kernel_code import KernelCode
from kbd.inbox.manifest import JobManifest
from kbd.inbox.validation import StrictModel, construct, relocated, validate

_PLACES = {"/reference/source_code": "/ref_code", "/candidate/source_code": "/custom_code"}


class LegacyRequest(StrictModel):
    """Two Python modules: torch against torch with CUDA of its own."""

    ref_code: Annotated[str, Field(min_length=1, description="a module with Model and get_inputs()")]
    custom_code: Annotated[str, Field(min_length=1, description="a module with ModelNew")]
    num_trials: Trials = 100
    timeout: Timeout = 120.0
    atol: Bound | None = None
    rtol: Bound | None = None


def read_v1(document: Mapping[str, object], *, default_id: str, folder: FolderFiles | None) -> JobManifest:
    """`{ref_code, custom_code, num_trials}`: torch against torch_cuda, tolerances as in V2. Raises InvalidJob."""
    del folder  # everything is in the payload
    request = validate(LegacyRequest, document)
    try:
        return construct(
            JobManifest,
            id=default_id,
            reference=_kernel("torch", request.ref_code, "/reference"),
            candidate=_kernel("torch_cuda", request.custom_code, "/candidate"),
            evaluation=Evaluation(
                num_trials=request.num_trials, tolerance=given_tolerance(request.atol, request.rtol)
            ),
            timeout=request.timeout,
        )
    except InvalidJob as error:
        raise InvalidJob(relocated(error.problems, _PLACES)) from None


def _kernel(kernel_type: str, source_code: str, pointer: str) -> KernelCode:
    try:
        return construct(KernelCode, kernel_type=kernel_type, source_code=source_code)
    except InvalidJob as error:
        raise InvalidJob(relocated(error.problems, {"": pointer})) from None
