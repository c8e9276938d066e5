"""Kernel type `cuda`: a raw `__global__` function, compiled to machine code and launched by its contract."""

from __future__ import annotations

from pathlib import Path

from kbd.backends.base import (
    Artifact,
    CompileFailed,
    CompileRequest,
    Executable,
    LoadContext,
    Target,
    Unsupported,
)
from kbd.backends.cuda_checks import check_arguments
from kbd.backends.cuda_compiler import BINARY, build, why_no_compiler
from kbd.backends.cuda_source import parameters_of, resolved
from kbd.backends.cuda_symbols import base_name, symbol_of, wanted_name
from kbd.backends.python_source import why_not_installed
from kbd.inbox.kernel_source import accumulates
from kbd.inbox.manifest import KernelCode

ARCH_WITHOUT_DEVICE = "sm_80"
"""What is compiled for where no device says: the oldest that the current toolkits and this project share."""


class CudaBackend:
    """Kernels written in CUDA C++."""

    kernel_type = "cuda"

    def why_unavailable(self, target: Target) -> str | None:
        """A CUDA device, a compiler, and NVIDIA's bindings to launch with."""
        if target.kind != "cuda":
            return "CUDA kernels run on CUDA devices; elsewhere they are only compiled"
        return why_not_installed("cuda", "cuda-bindings") or why_no_compiler()

    def needs_compiler(self, kernel: KernelCode) -> bool:
        """Always."""
        del kernel
        return True

    def compile(self, request: CompileRequest, folder: Path) -> Artifact:
        """Check the contract against the source, and build it."""
        kernel = request.kernel
        wanted = wanted_name(kernel)
        parameters = parameters_of(kernel.source_code, base_name(wanted))
        if not request.contracts:
            raise CompileFailed("a bare CUDA kernel needs a contract", hint="describe args and launch in io")
        built = build(kernel, request.target.arch or ARCH_WITHOUT_DEVICE, folder)
        for contract in request.contracts:
            check_arguments(base_name(wanted), parameters, contract)
        from kbd.backends.launches import readable

        symbol = symbol_of(wanted, built.symbols, readable)
        for contract in request.contracts:
            check_arguments(base_name(wanted), resolved(parameters, readable(symbol)), contract)
        resources = {readable(name): figures for name, figures in built.resources.items()}
        return Artifact(self.kernel_type, folder, symbol, {"resources": resources})

    def load(self, artifact: Artifact, context: LoadContext) -> Executable:
        """Load the machine code into the device's context. Raises Unsupported where there is none."""
        if context.device.type != "cuda":
            raise Unsupported(
                "the kernel was compiled, and cannot be run: this job was judged on a CPU, and CUDA kernels run on "
                "CUDA devices",
                hint="deliver the job where a CUDA device is",
            )
        from kbd.backends.cuda_executable import CudaExecutable
        from kbd.backends.launches import readable

        assert artifact.entry is not None
        source = context.kernel.source_code
        name = base_name(wanted_name(context.kernel))
        parameters = resolved(parameters_of(source, name), readable(artifact.entry))
        executable = CudaExecutable(
            artifact.folder / BINARY,
            artifact.entry,
            parameters,
            accumulates=accumulates(source),
            device=context.device,
        )
        executable.resources = artifact.properties["resources"]
        return executable


BACKEND = CudaBackend()
