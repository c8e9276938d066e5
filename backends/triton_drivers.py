"""What Triton asks of "the active driver", answered where there is no device: to compile for one, or to interpret.

Triton finds out about its target, and autotune about its clock, through `triton.runtime.driver.active`. The
answers here are the same in every version from 3.2 on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch


class DeviceNeeded(Exception):
    """Something asked for a real device while a kernel was being compiled without one."""


class _Driver:
    """What both have in common: one device, one stream."""

    def get_current_device(self) -> int:
        """Device 0."""
        return 0

    def set_current_device(self, device: int) -> None:
        """There is only one."""

    def get_current_stream(self, device: int | None = None) -> int:
        """Stream 0 of any device."""
        del device
        return 0


class TargetDriver(_Driver):
    """Stands for a device of compute capability `arch` (`sm_90`) that is elsewhere."""

    def __init__(self, arch: str) -> None:
        from triton.backends.compiler import GPUTarget

        digits = "".join(character for character in arch if character.isdigit())
        self._target = GPUTarget("cuda", int(digits), 32)

    @property
    def utils(self) -> Any:
        """Triton's own module of driver calls; building it needs libcuda, not a device."""
        from triton.backends.nvidia.driver import CudaUtils

        return CudaUtils()

    @property
    def launcher_cls(self) -> Any:
        """Triton's own class of launchers."""
        from triton.backends.nvidia.driver import CudaLauncher

        return CudaLauncher

    def get_current_target(self) -> Any:
        """What is compiled for."""
        return self._target

    def get_active_torch_device(self) -> torch.device:
        """Where tensors would be."""
        return torch.device("cuda", 0)

    def get_benchmarker(self) -> Callable[..., Any]:
        """A clock that cannot be read."""

        def refuse(*_: Any, **__: Any) -> Any:
            raise DeviceNeeded("autotune measures on a device")

        return refuse


class InterpreterDriver(_Driver):
    """Stands for the host on which kernels are interpreted."""

    def get_current_target(self) -> Any:
        """There is none. Raises DeviceNeeded."""
        raise DeviceNeeded("there is no GPU here; the kernel is interpreted")

    def get_active_torch_device(self) -> torch.device:
        """Where tensors are."""
        return torch.device("cpu")

    def get_benchmarker(self) -> Callable[..., Any]:
        """Wall time."""
        return _wall_time_ms


def _wall_time_ms(call: Callable[[], Any], quantiles: Sequence[float] = (0.5,), **_: Any) -> list[float]:
    """Milliseconds of one call, for every quantile: configurations are compared, and interpreted calls are slow."""
    started = time.perf_counter()
    call()
    return [(time.perf_counter() - started) * 1e3] * len(quantiles)


@contextmanager
def active(driver: _Driver) -> Iterator[None]:
    """Have Triton use this driver; afterwards it looks for a real one when it needs one."""
    from triton.runtime import driver as config

    config.set_active(driver)
    try:
        yield
    finally:
        if hasattr(config, "_active"):  # reset_active would look for a device now
            config._active = None  # noqa: SLF001
        else:
            config.reset_active()
