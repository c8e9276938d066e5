"""Kernel type `multi_kernel`: a Python function over any mix of torch, Triton and whatever else it imports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kbd.backends.base import Artifact, CompileRequest, Executable, LoadContext, Target
from kbd.backends.python_source import why_not_installed
from kbd.backends.torch_cuda.backend import BACKEND as TORCH_CUDA
from kbd.inbox.manifest import KernelCode


class MultiKernelBackend:
    """The function that `metadata.entry_point` names; extensions in its module are built as `torch_cuda` does."""

    kernel_type = "multi_kernel"
    compiles_for_contract = False

    def why_unavailable(self, target: Target) -> str | None:
        """Torch has to be installed; what else a module imports is its own affair."""
        del target
        return why_not_installed("torch")

    def needs_compiler(self, kernel: KernelCode) -> bool:
        """Where its module builds extensions; Triton compiles when the function launches."""
        return TORCH_CUDA.needs_compiler(kernel)

    def compile(self, request: CompileRequest, folder: Path) -> Artifact:
        """Write the module and build its extensions."""
        return replace(TORCH_CUDA.compile(request, folder), kernel_type=self.kernel_type)

    def load(self, artifact: Artifact, context: LoadContext) -> Executable:
        """Import the module; Triton in it is interpreted where there is no GPU."""
        from kbd.backends.triton_interpreter import interpret_if_no_gpu

        interpreted = interpret_if_no_gpu(context)
        executable = TORCH_CUDA.load(artifact, context)
        executable.interpreted = interpreted
        return executable


BACKEND = MultiKernelBackend()
