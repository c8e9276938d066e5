"""A kernel's float64 form, called on widened copies of its inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from kbd.backends.base import Executable, Precise, Unsupported
from kbd.daemon.runner.values import pack, tensors_in, unpack


class Float64Form:
    """Made at its first call, before the kernel itself has run, so that both start in the same state."""

    def __init__(self, kernel: Executable | None = None) -> None:
        self._kernel = kernel
        self._call: Callable[[list[Any]], Any] | None = None

    def call(self, inputs: list[Any]) -> Any:
        """What it returns, or the widened inputs where it returns no tensor and so has worked in place."""
        if self._call is None:
            if not isinstance(self._kernel, Precise):
                raise Unsupported("a kernel of this type computes in the dtypes it was written for")
            self._call = self._kernel.in_float64()
        tree, tensors = pack(inputs)
        wide = [widened(tensor) for tensor in tensors]
        returned = self._call(unpack(tree, wide))
        return returned if tensors_in(returned) else wide


def widened(tensor: torch.Tensor) -> torch.Tensor:
    """A copy; in float64 if it is floating. Some narrow formats convert only by way of float32."""
    if tensor.is_complex():
        return tensor.to(torch.complex128, copy=True)
    if not tensor.dtype.is_floating_point:
        return tensor.clone()
    return (tensor.float() if tensor.dtype.itemsize == 1 else tensor).to(torch.float64, copy=True)
