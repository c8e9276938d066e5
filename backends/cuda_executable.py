"""A bare CUDA kernel that can be called: loaded into the process's context, launched on torch's stream.

Everything but the launch itself is prepared when arguments are bound, so that a launch neither allocates nor
synchronises and can be captured into a graph.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from kbd.backends.bare_arguments import arrange, with_initial_content
from kbd.backends.base import BareExecutable, LaunchFailed
from kbd.backends.cuda_source import CudaParameter
from kbd.backends.cuda_values import packed
from kbd.inbox.bound_contract import BoundContract
from kbd.inbox.launch import BoundLaunch

PORTABLE_CLUSTER_BLOCKS = 8
STATIC_SHARED_LIMIT_BYTES = 48 << 10


class CudaExecutable(BareExecutable):
    """One `__global__` function."""

    def __init__(
        self,
        binary: Path,
        symbol: str,
        parameters: Sequence[CudaParameter] | None,
        *,
        accumulates: bool,
        device: torch.device,
    ) -> None:
        super().__init__()
        from cuda.bindings import driver

        torch.cuda.current_stream(device)  # the context that modules are loaded into
        self._driver, self._device = driver, device
        self._parameters, self._accumulates = parameters, accumulates
        self._module = _ask(driver.cuModuleLoadData(binary.read_bytes()), "load the kernel")
        self._function = _ask(driver.cuModuleGetFunction(self._module, symbol.encode()), f"find {symbol}")

    def bind(self, contract: BoundContract) -> None:
        """Put the contract in force. Raises LaunchFailed where this device cannot launch the kernel so."""
        launch = contract.launch
        if launch is None or launch.grid is None or launch.block is None:
            raise LaunchFailed("a bare CUDA kernel needs io.launch.grid and io.launch.block", hint="set both")
        self._check_block(launch.block)
        self._allow_shared(launch.shared_mem_bytes or 0)
        self._allow_cluster(launch)
        super().bind(contract)

    def call_on(self, inputs: list[Any], outputs: list[torch.Tensor]) -> Callable[[], list[torch.Tensor]]:
        """A launch with its arguments packed."""
        arguments = arrange(self.contract, inputs, outputs, self._device, accumulates=self._accumulates)
        launch = self.contract.launch
        assert launch is not None
        values, pointers = packed(self.contract, self._parameters, arguments.values)
        config = self._config(launch)
        driver, function, device = self._driver, self._function, self._device
        address = ctypes.addressof(pointers)

        def start(_keep: Any = (values, pointers)) -> None:
            config.hStream = torch.cuda.current_stream(device).cuda_stream
            (error,) = driver.cuLaunchKernelEx(config, function, address, 0)
            if int(error):
                raise _launch_error(driver, error, launch)

        return with_initial_content(arguments, start)

    def _config(self, launch: BoundLaunch) -> Any:
        assert launch.grid is not None
        assert launch.block is not None
        config = self._driver.CUlaunchConfig()
        config.gridDimX, config.gridDimY, config.gridDimZ = launch.grid
        config.blockDimX, config.blockDimY, config.blockDimZ = launch.block
        config.sharedMemBytes = launch.shared_mem_bytes or 0
        if launch.cluster is not None:
            attribute = self._driver.CUlaunchAttribute()
            attribute.id = self._driver.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
            size = attribute.value.clusterDim
            size.x, size.y, size.z = launch.cluster
            config.attrs, config.numAttrs = [attribute], 1
        return config

    def _check_block(self, block: tuple[int, int, int]) -> None:
        threads, most = block[0] * block[1] * block[2], self._attribute("MAX_THREADS_PER_BLOCK")
        if threads > most:
            raise LaunchFailed(
                f"a block of {threads} threads is too large for this kernel: with the "
                f"{self._attribute('NUM_REGS')} registers that a thread uses, at most {most} fit",
                hint="use a smaller block, or __launch_bounds__ to have the compiler use fewer registers",
            )

    def _allow_shared(self, dynamic: int) -> None:
        """More than 48 KiB have to be asked for."""
        static = self._attribute("SHARED_SIZE_BYTES")
        device = self._driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
        most = _ask(self._driver.cuDeviceGetAttribute(device, self._ordinal()), "ask the device")
        if static + dynamic > most:
            raise LaunchFailed(
                f"too much shared memory: {dynamic} bytes in io.launch.shared_mem_bytes and {static} in the "
                f"kernel; this device gives a block at most {most}",
                hint="use less shared memory",
            )
        if static + dynamic > STATIC_SHARED_LIMIT_BYTES:
            self._allow("MAX_DYNAMIC_SHARED_SIZE_BYTES", dynamic)

    def _allow_cluster(self, launch: BoundLaunch) -> None:
        cluster = launch.cluster or (1, 1, 1)
        if cluster[0] * cluster[1] * cluster[2] > PORTABLE_CLUSTER_BLOCKS:
            self._allow("NON_PORTABLE_CLUSTER_SIZE_ALLOWED", 1)

    def _ordinal(self) -> Any:
        return _ask(self._driver.cuCtxGetDevice(), "ask for the device")

    def _attribute(self, name: str) -> int:
        attribute = getattr(self._driver.CUfunction_attribute, f"CU_FUNC_ATTRIBUTE_{name}")
        return int(_ask(self._driver.cuFuncGetAttribute(attribute, self._function), "ask the kernel"))

    def _allow(self, name: str, value: int) -> None:
        attribute = getattr(self._driver.CUfunction_attribute, f"CU_FUNC_ATTRIBUTE_{name}")
        _ask(self._driver.cuFuncSetAttribute(self._function, attribute, value), f"allow {name.lower()}")


def _ask(answer: tuple[Any, ...], what: str) -> Any:
    """What a driver call gave besides its error code. Raises LaunchFailed."""
    error, *rest = answer
    if int(error):
        raise LaunchFailed(f"the driver could not {what}: {getattr(error, 'name', error)}")
    return rest[0] if rest else None


def _launch_error(driver: Any, error: Any, launch: BoundLaunch) -> LaunchFailed:
    name = getattr(error, "name", str(error))
    _, text = driver.cuGetErrorString(error)
    said = text.decode() if isinstance(text, bytes) else str(text)
    where = f"grid {launch.grid}, block {launch.block}, {launch.shared_mem_bytes or 0} bytes of shared memory"
    hints = {
        "CUDA_ERROR_INVALID_VALUE": "check io.launch: grid, block and shared_mem_bytes",
        "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES": "use a smaller block or less shared memory",
        "CUDA_ERROR_INVALID_CLUSTER_SIZE": "use a smaller cluster",
    }
    return LaunchFailed(f"the launch failed with {name} ({said}); {where}", hint=hints.get(name))
