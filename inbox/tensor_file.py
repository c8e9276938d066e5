"""What a `.npy` or `.safetensors` file says that it holds, by its header: neither numpy nor torch is needed.

Formats: numpy.lib.format ("Format Version 1.0" to 3.0), and https://github.com/huggingface/safetensors#format.
"""

import ast
import json
import math
import os
import re
import struct
from dataclasses import dataclass
from typing import Final

from kbd.inbox.dtypes import DType
from kbd.inbox.errors import InboxError

NPY_HEADER_BYTES: Final = 10_000
"""As much as numpy is let read of a header when the job is judged."""
SAFETENSORS_HEADER_BYTES: Final = 100_000_000
"""As much as the library reads."""

_NPY_MAGIC: Final = b"\x93NUMPY"
_NPY_LENGTH_FORMATS: Final = {1: "<H", 2: "<I", 3: "<I"}
_NPY_DTYPES: Final = {
    "f8": DType.FLOAT64,
    "f4": DType.FLOAT32,
    "f2": DType.FLOAT16,
    "i8": DType.INT64,
    "i4": DType.INT32,
    "i2": DType.INT16,
    "i1": DType.INT8,
    "u1": DType.UINT8,
    "b1": DType.BOOL,
}
_SAFETENSORS_DTYPES: Final = {
    "F64": DType.FLOAT64,
    "F32": DType.FLOAT32,
    "F16": DType.FLOAT16,
    "BF16": DType.BFLOAT16,
    "F8_E4M3": DType.FLOAT8_E4M3FN,
    "F8_E5M2": DType.FLOAT8_E5M2,
    "I64": DType.INT64,
    "I32": DType.INT32,
    "I16": DType.INT16,
    "I8": DType.INT8,
    "U8": DType.UINT8,
    "BOOL": DType.BOOL,
}
_OLD_LONG: Final = re.compile(r"(?<=\d)L\b")
_SHOWN_KEYS: Final = 5
_SHOWN_CHARS: Final = 100


class NoTensor(InboxError):
    """The file holds no tensor that could be read; the text says why."""


@dataclass(frozen=True, slots=True)
class TensorHeader:
    """What a file says of one tensor. `dtype` is the file's own word where a contract knows no such type."""

    shape: tuple[int, ...]
    dtype: DType | str


def read_header(descriptor: int, name: str) -> TensorHeader:
    """The header of `x.npy`, or of one tensor of `x.safetensors#key`. Raises NoTensor, and OSError."""
    path, _, key = name.partition("#")
    if path.endswith(".npy"):
        return _npy_header(descriptor)
    return _safetensors_header(descriptor, key)


def _npy_header(descriptor: int) -> TensorHeader:
    begin = os.pread(descriptor, 8, 0)
    length_format = _NPY_LENGTH_FORMATS.get(begin[6]) if len(begin) == 8 else None
    if begin[:6] != _NPY_MAGIC or length_format is None:
        raise NoTensor("expected a .npy file of numpy.save, found something else")
    length, start = _length(descriptor, length_format, 8)
    if length > NPY_HEADER_BYTES:
        raise NoTensor(f"expected a header of at most {NPY_HEADER_BYTES} bytes, found {length}")
    text = _read(descriptor, length, start).decode("latin-1" if begin[6] < 3 else "utf-8", "replace")
    try:
        said = ast.literal_eval(_OLD_LONG.sub("", text.strip()))
        shape, dtype = _shape_of(said["shape"]), _npy_dtype(said["descr"])
    except (SyntaxError, ValueError, TypeError, KeyError, MemoryError, RecursionError):
        raise NoTensor("its header is damaged") from None
    _require_bytes(descriptor, shape, dtype, start + length)
    return TensorHeader(shape, dtype)


def _npy_dtype(described: object) -> DType | str:
    """Little-endian numbers alone become tensors: torch takes no others."""
    text = described if isinstance(described, str) else "a record"
    is_taken = text[:1] in ("<", "=", "|") or text[2:] == "1"
    return _NPY_DTYPES.get(text[1:], text[:_SHOWN_CHARS]) if is_taken else text[:_SHOWN_CHARS]


def _safetensors_header(descriptor: int, key: str) -> TensorHeader:
    length, start = _length(descriptor, "<Q", 0)
    if length > SAFETENSORS_HEADER_BYTES:
        raise NoTensor("expected a .safetensors file, found something else")
    try:
        header = json.loads(_read(descriptor, length, start))
        tensors = {name: told for name, told in header.items() if name != "__metadata__"}
    except (ValueError, AttributeError, RecursionError):
        raise NoTensor("its header is damaged") from None
    if key not in tensors:
        raise NoTensor(f"expected a tensor {key[:_SHOWN_CHARS]!r} in it, found {_listed(list(tensors))}")
    try:
        told = tensors[key]
        shape, dtype = _shape_of(told["shape"]), str(told["dtype"])[:_SHOWN_CHARS]
        end = int(told["data_offsets"][1])
    except (ValueError, TypeError, KeyError, IndexError, OverflowError):
        raise NoTensor("its header is damaged") from None
    _require_size(descriptor, start + length + end)
    return TensorHeader(shape, _SAFETENSORS_DTYPES.get(dtype, dtype))


def _listed(keys: list[str]) -> str:
    shown = ", ".join(repr(key[:_SHOWN_CHARS]) for key in keys[:_SHOWN_KEYS])
    return f"{shown} and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else shown or "none"


def _shape_of(told: object) -> tuple[int, ...]:
    """Raises ValueError for what is no shape."""
    if not isinstance(told, tuple | list) or not all(type(size) is int and size >= 0 for size in told):
        raise ValueError(told)
    return tuple(told)


def _length(descriptor: int, length_format: str, offset: int) -> tuple[int, int]:
    """The length of the header, and where it begins."""
    size = struct.calcsize(length_format)
    (length,) = struct.unpack(length_format, _read(descriptor, size, offset))
    return int(length), offset + size


def _read(descriptor: int, size: int, offset: int) -> bytes:
    _require_size(descriptor, offset + size)
    return os.pread(descriptor, size, offset)


def _require_bytes(descriptor: int, shape: tuple[int, ...], dtype: DType | str, start: int) -> None:
    if isinstance(dtype, DType):
        _require_size(descriptor, start + math.prod(shape) * dtype.itemsize)


def _require_size(descriptor: int, expected: int) -> None:
    found = os.fstat(descriptor).st_size
    if found < expected:
        raise NoTensor(f"it ends too early: expected {expected} bytes or more, found {found}")
