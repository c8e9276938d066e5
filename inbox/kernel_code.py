"""The source of one kernel and how it is to be compiled and called."""

from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, JsonValue, model_validator

from kbd.inbox.contract import IOContract
from kbd.inbox.errors import Problem, pointer_to
from kbd.inbox.plain_values import shown
from kbd.inbox.validation import StrictModel, collect, did_you_mean

MAX_OPTIONS = 256
MAX_METADATA = 256

_NAME, _NAMES, _TEXT = "text", "a list of text", "a text of one line or more"
_MODULE_METADATA = {"class_name": _NAME, "function_name": _NAME, "method_name": _NAME}
_METADATA = {
    "torch": _MODULE_METADATA,
    "torch_cuda": _MODULE_METADATA,
    "triton": {"kernel_name": _NAME, **_MODULE_METADATA},
    "cuda": {
        "kernel_name": _NAME,
        "compiler_options": _NAMES,
        "backend": _NAME,
        "name_expressions": _NAMES,
    },
    "multi_kernel": {"entry_point": _NAME, "description": _TEXT},
}
_CUDA_COMPILERS = ("nvcc", "nvrtc")

Option = Annotated[str, Field(min_length=1, max_length=4096)]
Options = Annotated[tuple[Option, ...], Field(max_length=MAX_OPTIONS)]


class CompileOptions(StrictModel):
    """Flags for types that are compiled.

    Attributes:
        cflags: for the host compiler.
        cuda_cflags: for nvcc.
        ld_flags: for the linker.
    """

    cflags: Options = ()
    cuda_cflags: Options = ()
    ld_flags: Options = ()


def _empty_if_null(value: Any) -> Any:
    return {} if value is None else value


class KernelCode(StrictModel):
    """One kernel.

    Attributes:
        kernel_type: torch, torch_cuda, triton, cuda, multi_kernel, or that of a plug-in.
        source_code: one module or translation unit.
        metadata: what to call in it and how; which keys mean something depends on the type.
        compile_options: flags for types that are compiled.
        io: its own argument list where it differs from the job's (output arguments, launch); never its own
            choice of inputs.
    """

    kernel_type: Annotated[
        str,
        Field(pattern="^[a-z][a-z0-9_]{0,63}$", description="torch, torch_cuda, triton, cuda, multi_kernel"),
    ]
    source_code: Annotated[str, Field(description="the text of the kernel")]
    metadata: Annotated[
        dict[str, JsonValue], Field(max_length=MAX_METADATA), BeforeValidator(_empty_if_null)
    ] = Field(default_factory=dict)
    compile_options: CompileOptions = CompileOptions()
    io: IOContract | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        collect([*self._source_problems(), *self._metadata_problems()])
        return self

    def _source_problems(self) -> Iterator[Problem]:
        if not self.source_code.strip():
            yield Problem("/source_code", "the source is empty", "the text of the kernel", hint="fill it in")

    def _metadata_problems(self) -> Iterator[Problem]:
        known = _METADATA.get(self.kernel_type)
        if known is None:
            return
        for key, value in self.metadata.items():
            pointer = pointer_to("metadata", key)
            if key not in known:
                if meant := did_you_mean(key, known):
                    yield Problem(pointer, "unknown field", f"one of {', '.join(known)}", key, meant)
            elif value is not None and not _fits(value, known[key]):
                yield Problem(pointer, "wrong value", known[key], shown(value))
        if self.kernel_type == "multi_kernel" and not self.metadata.get("entry_point"):
            hint = "name the function to call"
            yield Problem("/metadata/entry_point", "a required field is missing", "a name", "null", hint)
        backend = self.metadata.get("backend")
        if self.kernel_type == "cuda" and isinstance(backend, str) and backend not in _CUDA_COMPILERS:
            yield Problem("/metadata/backend", "wrong value", "nvcc or nvrtc", shown(backend))


def _fits(value: JsonValue, kind: str) -> bool:
    if kind == _NAMES:
        return isinstance(value, list) and all(isinstance(entry, str) for entry in value)
    return isinstance(value, str) and bool(value.strip())
