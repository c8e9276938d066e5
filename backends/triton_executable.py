"""A bare Triton kernel that can be called: launched by the contract, on the GPU or in the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

from kbd.backends.bare_arguments import arrange, with_initial_content
from kbd.backends.base import BareExecutable, LoadFailed
from kbd.backends.triton_arguments import TritonCall
from kbd.backends.triton_source import TritonKernel
from kbd.inbox.kernel_source import accumulates


class TritonExecutable(BareExecutable):
    """`kernel[grid](…)` on the current stream."""

    def __init__(self, module: ModuleType, chosen: TritonKernel, source: str, device: torch.device) -> None:
        super().__init__()
        self._kernel: Any = getattr(module, chosen.name, None)
        if not hasattr(self._kernel, "run"):
            raise LoadFailed(
                f"{chosen.name} is no Triton kernel once the module has been imported",
                hint="do not rebind the kernel's name",
            )
        self._chosen = chosen
        self._accumulates = accumulates(source)
        self._device = device
        self.interpreted = device.type == "cpu"

    def call_on(self, inputs: list[Any], outputs: list[torch.Tensor]) -> Callable[[], list[torch.Tensor]]:
        """A launch with everything but Triton's own dispatch prepared."""
        arguments = arrange(self.contract, inputs, outputs, self._device, accumulates=self._accumulates)
        call = TritonCall.of(self._chosen, self.contract, arguments.values)
        kernel, positional, by_name = self._kernel, call.positional, call.by_name

        def launch() -> None:
            kernel[call.grid](*positional, **by_name)

        return with_initial_content(arguments, launch)
