"""The backend of kernel type `torch_cuda`. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

from pathlib import Path

from kbd.backends.base import Artifact, CompileRequest, Executable, LoadContext, Target
from kbd.backends.python_source import source_in, write_module
from kbd.backends.torch_cuda.builder import Builder, PyTorchBuilder, why_cannot_build
from kbd.inbox.manifest import KernelCode


class TorchCudaBackend:
    """A Python module with C++ or CUDA in it."""

    kernel_type = "torch_cuda"
    compiles_for_contract = False
    """Extensions are the same whatever the shapes: artifacts are shared between contracts."""

    def __init__(self, builder: Builder | None = None) -> None:
        self._builder = builder or PyTorchBuilder()

    def why_unavailable(self, target: Target) -> str | None:
        """Compilers, ninja, and for CUDA a PyTorch that has it."""
        return why_cannot_build(target.kind == "cuda")

    def needs_compiler(self, kernel: KernelCode) -> bool:
        """A module that never names `cpp_extension` is plain PyTorch."""
        return "cpp_extension" in kernel.source_code

    def compile(self, request: CompileRequest, folder: Path) -> Artifact:
        """Write the module, execute it, and build what it asks for."""
        write_module(request.kernel.source_code, folder)
        if not self.needs_compiler(request.kernel):
            return Artifact(self.kernel_type, folder)
        from kbd.backends.torch_cuda.capture import capture

        return Artifact(self.kernel_type, folder, properties=capture(request, self._builder, folder))

    def load(self, artifact: Artifact, context: LoadContext) -> Executable:
        """Import the module, with its extensions at hand, and construct its entry."""
        from kbd.backends.torch_cuda.cpp_extension import stand_in
        from kbd.backends.torch_cuda.prebuilt import Prebuilt
        from kbd.backends.torch_module import ModuleExecutable, import_source

        if parameters := artifact.properties.get("parameters"):
            target = Target("cuda" if context.device.type == "cuda" else "cpu")
            options = context.kernel.compile_options
            stand_in(Prebuilt(artifact, target, options, self._builder), parameters)
        return ModuleExecutable(import_source(source_in(artifact.folder)), context)


BACKEND = TorchCudaBackend()
