"""Kernel type `triton`: a module that launches kernels, or a bare `@triton.jit` kernel that its contract launches.

On a GPU, bare kernels are compiled ahead, without the device. On a CPU, Triton's interpreter runs both.
"""

from __future__ import annotations

from pathlib import Path

from kbd.backends.base import Artifact, CompileFailed, CompileRequest, Executable, LoadContext, Target
from kbd.backends.python_source import source_in, why_not_installed, write_module
from kbd.backends.triton_source import chosen_kernel
from kbd.inbox.kernel_checks import is_bare_triton
from kbd.inbox.manifest import KernelCode


class TritonBackend:
    """Kernels written in Triton."""

    kernel_type = "triton"

    def why_unavailable(self, target: Target) -> str | None:
        """Triton has to be installed; without a GPU its interpreter does."""
        del target
        return why_not_installed("torch") or why_not_installed("triton")

    def needs_compiler(self, kernel: KernelCode) -> bool:
        """Whether it may be a bare kernel; modules compile theirs when they launch them."""
        return not any(kernel.metadata.get(key) for key in ("class_name", "function_name"))

    def compile(self, request: CompileRequest, folder: Path) -> Artifact:
        """Check the module and, for a bare kernel, its contracts; build what the target needs."""
        write_module(request.kernel.source_code, folder)
        first = request.contracts[0] if request.contracts else None
        if not is_bare_triton(request.kernel, first):
            return Artifact(self.kernel_type, folder)
        chosen = chosen_kernel(request.kernel)
        if first is None:
            raise CompileFailed(
                "a bare Triton kernel needs a contract", hint="describe args and launch in io"
            )
        for contract in request.contracts:
            chosen.places(contract)
        left = self._build(request, folder)
        return Artifact(self.kernel_type, folder, chosen.name, {"unfinished": left})

    def _build(self, request: CompileRequest, folder: Path) -> str | None:
        if request.target.kind == "cpu":
            return None
        from kbd.backends.triton_compiler import compile_ahead

        return compile_ahead(request, chosen_kernel(request.kernel), folder)

    def load(self, artifact: Artifact, context: LoadContext) -> Executable:
        """Import the module, interpreted where there is no GPU."""
        from kbd.backends.torch_module import ModuleExecutable, import_source
        from kbd.backends.triton_compiler import use_cache
        from kbd.backends.triton_executable import TritonExecutable
        from kbd.backends.triton_interpreter import interpret_if_no_gpu

        use_cache(artifact.folder)
        interpreted = interpret_if_no_gpu(context)
        module = import_source(source_in(artifact.folder))
        if artifact.entry is None:
            return ModuleExecutable(module, context, interpreted=interpreted)
        chosen = chosen_kernel(context.kernel)
        return TritonExecutable(module, chosen, context.kernel.source_code, context.device)


BACKEND = TritonBackend()
