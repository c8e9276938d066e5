"""Copies of what a kernel returned, made without asking torch for anything.

The kernel's code may have changed what torch's operators do in this process: a method replaced, a mode left on, an
implementation registered. A copy that asks them would give it a moment to compute what it owed long before. So a
tensor on the CPU is copied from its address: what is copied is what lay there when the kernel had returned.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

# Bound before any user's code could put others in their place.
_without_modes = torch._C.DisableTorchFunction  # noqa: SLF001 - the only way to pass a mode by
_address_of, _size_of, _stride_of = torch.Tensor.data_ptr, torch.Tensor.size, torch.Tensor.stride
_conjugated, _negated = torch.Tensor.resolve_conj, torch.Tensor.resolve_neg
_is_conjugated, _is_negated, _is_dense = torch.Tensor.is_conj, torch.Tensor.is_neg, torch.Tensor.is_contiguous
_dtype_of, _on_host = torch.Tensor.dtype.__get__, torch.Tensor.is_cpu.__get__  # type: ignore[attr-defined]
_copied = torch.Tensor.copy_
_is_copied_when_written = torch._C._is_cow_tensor  # type: ignore[attr-defined]  # noqa: SLF001
_array, _copyto, _memory, _move = np.ndarray, np.copyto, ctypes.c_ubyte, ctypes.memmove
_WORDS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64, 16: np.complex128}


def copy_to(target: torch.Tensor, source: torch.Tensor) -> None:
    """Copy on the CPU between tensors of one dtype and shape."""
    with _without_modes():
        _copyto(_words_of(target), _words_of(source))


def can_copy(target: torch.Tensor, source: torch.Tensor) -> bool:
    """Whether `copy_to` is for these; else values have to be converted, or fetched from a device."""
    with _without_modes():
        on_host = target.device.type == "cpu" == source.device.type
        return on_host and target.dtype == source.dtype and target.shape == source.shape


class Target(Protocol):
    """Where tensors of one form are copied again and again, as cheaply as can be: it is timed."""

    @property
    def tensor(self) -> torch.Tensor:
        """What is copied to."""

    def fits(self, source: torch.Tensor) -> bool:
        """Whether it is of this form."""

    def take(self, source: torch.Tensor) -> None:
        """Copy a tensor that fits."""


def target_at(tensor: torch.Tensor) -> Target:
    """The memory of this tensor."""
    return HostTarget.at(tensor) if tensor.is_cpu else DeviceTarget(tensor, tensor.dtype, tuple(tensor.shape))


@dataclass(frozen=True)
class DeviceTarget:
    """On a device: a copy on the current stream, which a graph captures like a launch; also from the host."""

    tensor: torch.Tensor
    dtype: torch.dtype
    shape: tuple[int, ...]

    def fits(self, source: torch.Tensor) -> bool:
        """Whether it is of this form."""
        return _dtype_of(source) is self.dtype and tuple(_size_of(source)) == self.shape

    def take(self, source: torch.Tensor) -> None:
        """Copy a tensor that fits."""
        _copied(self.tensor, source)


@dataclass(frozen=True)
class HostTarget:
    """On the CPU."""

    tensor: torch.Tensor
    words: np.ndarray[Any, Any]
    address: int
    nbytes: int
    dtype: torch.dtype
    shape: tuple[int, ...]
    dense: bool

    @classmethod
    def at(cls, tensor: torch.Tensor) -> HostTarget:
        """The memory of a tensor on the CPU."""
        form = tensor.dtype, tuple(tensor.shape), tensor.is_contiguous()
        return cls(tensor, _words_of(tensor), tensor.data_ptr(), tensor.nbytes, *form)

    def fits(self, source: torch.Tensor) -> bool:
        """Whether it is of this form."""
        return _on_host(source) and _dtype_of(source) is self.dtype and tuple(_size_of(source)) == self.shape

    def take(self, source: torch.Tensor) -> None:
        """Copy a tensor that fits."""
        if self.dense and _is_dense(source) and not (_is_conjugated(source) or _is_negated(source)):
            _move(self.address, _address_of(source), self.nbytes)
        else:
            _copyto(self.words, _words_of(source))


def shares_memory(tensors: Sequence[torch.Tensor], inputs: range) -> bool:
    """Whether one begins in the inputs or where another does, or has elements on top of each other.

    To be asked before anything reads them: a tensor that is to be copied when it is written becomes one of its own.
    """
    with _without_modes():
        full = [tensor for tensor in tensors if 0 not in _size_of(tensor)]
        if any(map(_is_copied_when_written, full)):
            return True
        places = [_address_of(tensor) for tensor in full]
        repeats = any(map(_repeats_itself, full))
        return repeats or len(set(places)) < len(places) or any(place in inputs for place in places)


def _repeats_itself(tensor: torch.Tensor) -> bool:
    return any(
        length > 1 and not step for length, step in zip(_size_of(tensor), _stride_of(tensor), strict=True)
    )


def copy_all(targets: Sequence[Target], sources: Sequence[torch.Tensor]) -> bool:
    """Copy each to its target, if all of them fit; whether they do."""
    with _without_modes():
        pairs = list(zip(targets, sources, strict=False))
        fit = len(targets) == len(sources) and all(target.fits(source) for target, source in pairs)
        if fit:
            for target, source in pairs:
                target.take(source)
    return fit


def _words_of(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """The memory of a tensor as an array, for as long as the tensor lives."""
    tensor = _negated(_conjugated(tensor))
    size = _dtype_of(tensor).itemsize
    shape, stride = tuple(_size_of(tensor)), _stride_of(tensor)
    if 0 in shape:
        return _array(shape, _WORDS[size])
    reach = 1 + sum((length - 1) * step for length, step in zip(shape, stride, strict=True))
    memory = (_memory * (reach * size)).from_address(_address_of(tensor))
    memory.owner = tensor  # it may be new: a conjugated tensor is made plain first
    return _array(shape, _WORDS[size], memory, 0, tuple(step * size for step in stride))


def in_order_of_stream(
    tensors: Sequence[torch.Tensor], buffers: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """Copies of what a kernel returned on a device as whoever uses it next on the same stream would find it.

    Work that was left on another stream is not waited for. Not of the `buffers` that it was given, nor where there
    is no room for copies.
    """
    given = {buffer.data_ptr() for buffer in buffers}
    try:
        return [tensor if tensor.data_ptr() in given else tensor.clone() for tensor in tensors]
    except torch.cuda.OutOfMemoryError:
        return list(tensors)
