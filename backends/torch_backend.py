"""Kernel type `torch`: a Python module with a Model (or ModelNew), a function, or a method."""

from __future__ import annotations

from pathlib import Path

from kbd.backends.base import Artifact, CompileRequest, Executable, LoadContext, Target
from kbd.backends.python_source import source_in, why_not_installed, write_module
from kbd.inbox.manifest import KernelCode


class TorchBackend:
    """Python source that torch runs as it is."""

    kernel_type = "torch"

    def why_unavailable(self, target: Target) -> str | None:
        """Torch has to be installed."""
        del target
        return why_not_installed("torch")

    def needs_compiler(self, kernel: KernelCode) -> bool:
        """Torch needs no compiler."""
        del kernel
        return False

    def compile(self, request: CompileRequest, folder: Path) -> Artifact:
        """Write the module and check its syntax."""
        write_module(request.kernel.source_code, folder)
        return Artifact(self.kernel_type, folder)

    def load(self, artifact: Artifact, context: LoadContext) -> Executable:
        """Import the module and construct its entry."""
        from kbd.backends.torch_module import ModuleExecutable, import_source
        from kbd.backends.triton_interpreter import interpret_if_no_gpu

        interpreted = interpret_if_no_gpu(context)
        module = import_source(source_in(artifact.folder))
        return ModuleExecutable(module, context, interpreted=interpreted)


BACKEND = TorchBackend()
