"""Memory that a judge lends to a runner: a sealed memfd on the CPU, a device allocation by handle on CUDA.

The judge makes an `Arena` and shares it; the runner maps it. Neither ever interprets an address or a size that
the other side chose: the judge lays the slots out, and a memfd is sealed so that a runner cannot shrink it
under the judge's feet. Device arenas are whole multiples of 2 MiB because an inter-process handle opens the
whole allocation unit it lies in (CUDA Driver API, "Interprocess Communication").
"""

from __future__ import annotations

import base64
import fcntl
import mmap
import os
from collections.abc import Sequence
from typing import Any

import torch

from kbd.daemon.executor.tensor_messages import Slot, TensorMeta
from kbd.daemon.runner.values import dtype_named

ALIGNMENT = 256
DEVICE_UNIT = 2 << 20
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class SharingFailed(Exception):
    """The operating system or the CUDA driver refused to share memory."""


class OutOfDeviceMemory(SharingFailed):
    """The device has no room for an arena of this size."""


def _cuda(result: tuple[Any, ...]) -> Any:
    """Unwrap what cuda-bindings returns: an error code, then values."""
    error, *values = result
    if int(error) == 2:  # cudaErrorMemoryAllocation
        raise OutOfDeviceMemory("the device is out of memory")
    if int(error) != 0:
        raise SharingFailed(f"CUDA: {error.name}")
    if len(values) > 1:
        return tuple(values)
    return values[0] if values else None


class _RawDeviceMemory:
    """Lets torch see device memory that it did not allocate (CUDA Array Interface, version 3)."""

    def __init__(self, pointer: int, nbytes: int) -> None:
        self.__cuda_array_interface__ = {
            "shape": (nbytes,),
            "typestr": "|u1",
            "data": (pointer, False),
            "strides": None,
            "version": 3,
        }


def _device_bytes(pointer: int, nbytes: int) -> torch.Tensor:
    return torch.as_tensor(_RawDeviceMemory(pointer, nbytes), device="cuda:0")


def _host_bytes(descriptor: int, nbytes: int) -> torch.Tensor:
    return torch.frombuffer(mmap.mmap(descriptor, nbytes), dtype=torch.uint8)


def extent(meta: TensorMeta) -> int:
    """Bytes from the first to the last element of a tensor laid out with these strides."""
    if any(size == 0 for size in meta.shape):
        return 0
    stride = meta.stride if meta.stride is not None else contiguous_stride(meta.shape)
    last = sum((size - 1) * step for size, step in zip(meta.shape, stride, strict=True))
    return (last + 1) * dtype_named(meta.dtype).itemsize


def contiguous_stride(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Row-major strides in elements."""
    stride: list[int] = []
    step = 1
    for size in reversed(shape):
        stride.append(step)
        step *= max(size, 1)
    return tuple(reversed(stride))


def tensor_at(memory: torch.Tensor, slot: Slot) -> torch.Tensor:
    """The tensor that lies in `memory` (bytes) where the slot says."""
    meta = slot.meta
    piece = memory[slot.offset : slot.offset + extent(meta)]
    typed = piece.view(dtype_named(meta.dtype)) if piece.numel() else piece.new_empty(0).view(torch.uint8)
    if not piece.numel():
        return torch.empty(meta.shape, dtype=dtype_named(meta.dtype), device=memory.device)
    stride = meta.stride if meta.stride is not None else contiguous_stride(meta.shape)
    return typed.as_strided(meta.shape, stride)


class Arena:
    """Memory of the judge's that one runner may write. `memory` is its bytes as a uint8 tensor."""

    def __init__(self, nbytes: int, kind: str) -> None:
        self.nbytes = max(nbytes, ALIGNMENT)
        self.descriptor: int | None = None
        self.handle: str | None = None
        self._pointer: int | None = None
        if kind == "cuda":
            self._allocate_device()
        else:
            self._allocate_host()

    def _allocate_host(self) -> None:
        descriptor = os.memfd_create("kbd-arena", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(descriptor, self.nbytes)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
            self.memory = _host_bytes(descriptor, self.nbytes)
        except OSError as error:
            os.close(descriptor)
            raise SharingFailed(f"cannot make {self.nbytes} bytes of shared memory: {error}") from None
        self.descriptor = descriptor

    def _allocate_device(self) -> None:
        from cuda.bindings import runtime

        self.nbytes = -(-self.nbytes // DEVICE_UNIT) * DEVICE_UNIT
        self._pointer = int(_cuda(runtime.cudaMalloc(self.nbytes)))
        self.handle = handle_of(self._pointer)
        self.memory = _device_bytes(self._pointer, self.nbytes)

    def release(self) -> None:
        """Give the memory back; only once no runner that mapped it is alive."""
        del self.memory
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None
        if self._pointer is not None:
            from cuda.bindings import runtime

            _cuda(runtime.cudaFree(self._pointer))
            self._pointer = None


def unmap_arena(memory: torch.Tensor) -> None:
    """Let go of a device arena that `map_arena` gave; on the CPU it goes with its last tensor."""
    if memory.is_cuda:
        close_handle(memory)


def map_arena(nbytes: int, handle: str | None, descriptors: list[int]) -> torch.Tensor:
    """The runner's view of an arena, as bytes. Raises SharingFailed."""
    if handle is None:
        (descriptor,) = descriptors
        try:
            return _host_bytes(descriptor, nbytes)
        finally:
            os.close(descriptor)
    return _device_bytes(_opened(handle), nbytes)


def handle_of(pointer: int) -> str:
    """By which another process opens the device allocation that begins there. Raises SharingFailed."""
    from cuda.bindings import runtime

    handle = _cuda(runtime.cudaIpcGetMemHandle(pointer))
    return base64.b64encode(bytes(handle.reserved)).decode()


def allocation_at(pointer: int) -> tuple[int, int]:
    """Where the device allocation that holds this address begins, and its bytes. Raises SharingFailed."""
    from cuda.bindings import driver

    begin, nbytes = _cuda(driver.cuMemGetAddressRange(pointer))
    return int(begin), int(nbytes)


def open_handle(handle: str) -> torch.Tensor:
    """Another process's device allocation, as bytes: as many as the driver says. Raises SharingFailed."""
    pointer = _opened(handle)
    return _device_bytes(pointer, allocation_at(pointer)[1])


def close_handle(memory: torch.Tensor) -> None:
    """Let go of what `open_handle` gave."""
    from cuda.bindings import runtime

    _cuda(runtime.cudaIpcCloseMemHandle(memory.data_ptr()))


def fetch_to_host(copies: Sequence[tuple[int, int, int]], stream: int) -> None:
    """Copy from the device to pinned memory of the host: (to, from, bytes), in this order. Raises SharingFailed.

    With as little as can be between the call and the first copy.
    """
    from cuda.bindings import runtime

    copy, kind = runtime.cudaMemcpyAsync, runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
    results = [copy(target, source, nbytes, kind, stream) for target, source, nbytes in copies]
    for result in (*results, runtime.cudaStreamSynchronize(stream)):
        _cuda(result)


def _opened(handle: str) -> int:
    from cuda.bindings import runtime

    opened = runtime.cudaIpcMemHandle_t()
    opened.reserved = base64.b64decode(handle)
    return int(_cuda(runtime.cudaIpcOpenMemHandle(opened, runtime.cudaIpcMemLazyEnablePeerAccess)))
