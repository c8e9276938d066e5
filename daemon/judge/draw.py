"""Tensors drawn as an IOContract asks: every init kind, every dtype, on the judge's device."""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path

import torch

from kbd.daemon.executor.shared_memory import contiguous_stride
from kbd.daemon.runner.values import dtype_named
from kbd.inbox.bound_contract import BoundTensor
from kbd.inbox.dtypes import DType
from kbd.inbox.folder_files import file_beside
from kbd.inbox.tensor_data import BadTensorBytes, TensorData
from kbd.inbox.tensor_init import InitKind, TensorInit

NPY_HEADER_BYTES = 10_000


class BadData(Exception):
    """The job's inputs cannot be made: data that does not fit, or nothing that says what they are."""


class DataOutOfReach(Exception):
    """A data file that was there when the job was read cannot be read now, which is no fault of the job."""


def draw(tensor: BoundTensor, seed: int, device: torch.device, folder: Path | None) -> torch.Tensor:
    """The content of one input: its data where given, else drawn by its init with this seed.

    Raises BadData and DataOutOfReach.
    """
    content = tensor.content
    if isinstance(content, TensorData):
        values = read_data(content, tensor, folder).to(device)
    else:
        generator = torch.Generator(device=device).manual_seed(seed)
        values = _drawn(content, tensor, generator, device)
    return _strided(values, tensor.strides)


def _strided(values: torch.Tensor, stride: tuple[int, ...] | None) -> torch.Tensor:
    if stride is None or stride == contiguous_stride(tuple(values.shape)):
        return values
    placed = torch.empty_strided(values.shape, stride, dtype=values.dtype, device=values.device)
    return placed.copy_(values)


def _drawn(
    init: TensorInit, tensor: BoundTensor, generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    """Drawn in a wide format, then rounded: the narrow ones have no generators of their own."""
    dtype = dtype_named(tensor.dtype)
    if init.kind.is_random:
        made = _random(init, tensor, generator, device)
    else:
        made = _fixed(init, tensor.shape, tensor.dtype, device)
    return made.to(dtype).contiguous()


def _random(
    init: TensorInit, tensor: BoundTensor, generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    shape = tensor.shape
    wide = torch.float64 if tensor.dtype is DType.FLOAT64 else torch.float32
    if init.kind is InitKind.RANDN:
        made = torch.randn(shape, generator=generator, device=device, dtype=wide)
        return made.mul_(_or(init.std, 1.0)).add_(_or(init.mean, 0.0))
    if init.kind is InitKind.UNIFORM:
        low, high = _or(init.low, 0.0), _or(init.high, 1.0)
        return torch.rand(shape, generator=generator, device=device, dtype=wide).mul_(high - low).add_(low)
    if init.kind is InitKind.RANDINT:
        low, high = int(_or(init.low, 0)), int(_or(init.high, 1))
        return torch.randint(low, high, shape, generator=generator, device=device)
    return _permutations(shape, generator, device)


def _permutations(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> torch.Tensor:
    """A permutation of 0 … n-1 in every row along the last dimension."""
    keys = torch.rand(shape, generator=generator, device=device, dtype=torch.float64)
    return keys.argsort(dim=-1) if keys.dim() else torch.zeros(shape, device=device)


def _fixed(init: TensorInit, shape: tuple[int, ...], dtype: DType, device: torch.device) -> torch.Tensor:
    wide = torch.float64 if dtype.is_floating else torch.int64
    match init.kind:
        case InitKind.ARANGE:
            steps = torch.arange(math.prod(shape), device=device, dtype=wide)
            return (steps * _or(init.step, 1) + _or(init.start, 0)).reshape(shape)
        case InitKind.EYE:
            return torch.eye(*shape, device=device, dtype=wide)
        case InitKind.FULL:
            return torch.full(shape, _or(init.fill_value, 0), device=device, dtype=wide)
        case InitKind.ONES:
            return torch.ones(shape, device=device, dtype=wide)
        case _:
            return torch.zeros(shape, device=device, dtype=wide)


def _or(value: float | bool | None, default: float) -> float:
    return default if value is None else value


def read_data(source: TensorData, tensor: BoundTensor, folder: Path | None) -> torch.Tensor:
    """Literal data: base64 in the manifest, or a .npy or .safetensors file beside it. Raises as `draw` does."""
    dtype = dtype_named(source.dtype or tensor.dtype)
    shape = source.shape or tensor.shape
    if source.file is not None:
        values = _from_file(source.file, folder)
    else:
        try:
            content = source.read_bytes(math.prod(shape) * dtype.itemsize)
        except BadTensorBytes as error:
            raise BadData(str(error)) from None
        values = torch.frombuffer(bytearray(content), dtype=dtype) if content else torch.empty(0, dtype=dtype)
        values = values.reshape(shape)
    if tuple(values.shape) != tensor.shape:
        raise BadData(f"expected data of shape {list(tensor.shape)}, found {list(values.shape)}")
    if values.dtype != dtype:
        raise BadData(f"expected data of dtype {dtype}, found {values.dtype}")
    return _plain_booleans(values).to(dtype_named(tensor.dtype))


def _plain_booleans(values: torch.Tensor) -> torch.Tensor:
    """Every byte of a boolean but 0 as 1: a copy makes it that, and must not differ from what was copied."""
    return values.view(torch.uint8) != 0 if values.dtype is torch.bool else values


def _from_file(name: str, folder: Path | None) -> torch.Tensor:
    path, _, key = name.partition("#")
    if folder is None:
        raise BadData(f"data file {path!r} needs a job folder")
    try:
        with file_beside(folder, path) as descriptor:
            return _from_npy(descriptor) if path.endswith(".npy") else _from_safetensors(descriptor, key)
    except Exception as error:  # noqa: BLE001 - readers of broken files raise whatever they stumble over
        # A file that lies about its own structure leads to a seek nowhere: EINVAL.
        is_out_of_reach = isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)
        raise (DataOutOfReach if is_out_of_reach else BadData)(
            f"data file {name!r} cannot be read: {type(error).__name__}: {error}"
        ) from None


def _from_npy(descriptor: int) -> torch.Tensor:
    import numpy as np

    with os.fdopen(os.dup(descriptor), "rb") as file:
        loaded = np.load(file, allow_pickle=False, max_header_size=NPY_HEADER_BYTES)
    return torch.from_numpy(np.ascontiguousarray(loaded)).reshape(loaded.shape)


def _from_safetensors(descriptor: int, key: str) -> torch.Tensor:
    from safetensors.torch import load_file

    found: torch.Tensor = load_file(f"/proc/self/fd/{descriptor}")[key]
    return found
