"""Plain values on their way between processes: a JSON tree, with the tensors taken out.

Constructor arguments, inputs and outputs are trees of numbers, strings, lists, tuples, dicts and tensors.
JSON knows no tuple, no NaN and no dtype, so every node that is not plain carries a tag:

    {"tuple": [...]}  {"dict": [[k, v], …]}  {"float": "nan"}  {"dtype": "float16"}  {"tensor": 3}

Nothing else passes, so unpacking can build nothing but data. Used by runner and judge alike.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import torch

from kbd.daemon.executor.tensor_messages import TensorMeta, Values

MAX_DEPTH = 32
MAX_NODES = 100_000
LARGEST_INT = (1 << 64) - 1
PLAIN_TENSORS = (torch.Tensor, torch.nn.Parameter)
TENSOR_ATTRIBUTES = frozenset(dir(torch.Tensor))
_COMPARABLE = re.compile(r"torch\.(bool|u?int(8|16|32|64)|b?float(16|32|64)|float8_\w+|complex\d+)")
COMPARABLE = frozenset(
    dtype
    for dtype in vars(torch).values()
    if isinstance(dtype, torch.dtype) and _COMPARABLE.fullmatch(str(dtype))
)
"""Others (bits, quantised, less than a byte) hold numbers that torch itself can neither copy nor compare."""


class UnknownValue(Exception):
    """A value that is neither plain data nor a dense tensor."""


def dtype_name(dtype: torch.dtype) -> str:
    """`torch.float32` -> `float32`."""
    return str(dtype).removeprefix("torch.")


def dtype_named(name: str) -> torch.dtype:
    """`float32` -> `torch.float32`; raises UnknownValue."""
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise UnknownValue(f"no such dtype: {name!r}")
    return dtype


def meta_of(tensor: torch.Tensor) -> TensorMeta:
    """What the tensor looks like. Raises UnknownValue for sparse, quantised and nested tensors, and odd dtypes."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested:
        raise UnknownValue(f"a tensor of layout {tensor.layout}; only dense tensors can be judged")
    require_comparable(tensor.dtype)
    stride = None if tensor.is_contiguous() else tuple(tensor.stride())
    return TensorMeta(
        shape=tuple(tensor.shape), dtype=dtype_name(tensor.dtype), stride=stride, device=tensor.device.type
    )


def require_comparable(dtype: torch.dtype) -> None:
    """Raises UnknownValue for a dtype whose values cannot be compared."""
    if dtype not in COMPARABLE:
        raise UnknownValue(f"a tensor of {dtype}; expected booleans, integers of 8 bits and more, or floats")


def require_plain(tensor: torch.Tensor) -> None:
    """Only a tensor that is what it seems passes.

    A subclass, or a method replaced on the instance, can put the work off until somebody looks at the values.
    Raises UnknownValue.
    """
    if type(tensor) not in PLAIN_TENSORS:
        raise UnknownValue(
            f"a {_full_name(type(tensor))}; expected a plain torch.Tensor, not a subclass of it"
        )
    replaced = sorted(name for name in vars(tensor) if name in TENSOR_ATTRIBUTES)
    if replaced:
        raise UnknownValue(
            f"a tensor whose {', '.join(replaced)} was replaced; expected a plain torch.Tensor"
        )


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


class _Packer:
    def __init__(self) -> None:
        self.tensors: list[torch.Tensor] = []
        self._nodes = 0

    def pack(self, value: Any, depth: int = 0) -> Any:
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise UnknownValue(f"a structure over {MAX_DEPTH} levels deep or of over {MAX_NODES} values")
        if isinstance(value, torch.Tensor):
            require_plain(value)
            self.tensors.append(value)
            return {"tensor": len(self.tensors) - 1}
        if isinstance(value, list):
            return [self.pack(entry, depth + 1) for entry in value]
        if isinstance(value, tuple):  # named tuples and torch.Size too
            return {"tuple": [self.pack(entry, depth + 1) for entry in value]}
        if isinstance(value, dict):
            return {"dict": self._entries(value, depth)}
        return _pack_scalar(value)

    def _entries(self, value: dict[Any, Any], depth: int) -> list[list[Any]]:
        """In the order of the dict; its tensors are numbered by the order of the keys, however it was made."""
        entries = list(value.items())
        packed: dict[int, list[Any]] = {}
        for place in sorted(range(len(entries)), key=lambda place: repr(entries[place][0])):
            packed[place] = [self.pack(part, depth + 1) for part in entries[place]]
        return [packed[place] for place in range(len(entries))]


def _pack_scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int) and -LARGEST_INT <= value <= LARGEST_INT:
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": repr(float(value))}
    if isinstance(value, torch.dtype):
        return {"dtype": dtype_name(value)}
    raise UnknownValue(f"a {_full_name(type(value))}; expected numbers, strings or tensors")


def pack(value: Any) -> tuple[Any, list[torch.Tensor]]:
    """The tree, and the tensors that it refers to in order. Raises UnknownValue."""
    packer = _Packer()
    return packer.pack(value), packer.tensors


def pack_values(value: Any) -> tuple[Values, list[torch.Tensor]]:
    """As `pack`, ready for a message."""
    tree, tensors = pack(value)
    return Values(tree=tree, tensors=tuple(meta_of(tensor) for tensor in tensors)), tensors


def tensors_in(value: Any) -> list[torch.Tensor]:
    """The tensors of a value, in the order in which `pack` numbers them. Raises UnknownValue."""
    if type(value) is torch.Tensor:
        require_plain(value)
        return [value]
    return pack(value)[1]


def leaves(tree: Any) -> list[Any]:
    """What a packed value consists of without its lists, tuples and dicts, in order; of a dict by its keys.

    Two values with equal leaves hold the same things in the same order, whatever they are wrapped in.
    """
    if isinstance(tree, list):
        return [leaf for entry in tree for leaf in leaves(entry)]
    match tree:
        case {"tuple": list(entries)}:
            return leaves(entries)
        case {"dict": list(entries)}:
            return leaves([value for _, value in sorted(entries, key=lambda entry: repr(entry[0]))])
    return [tree]


def keys(tree: Any) -> list[Any]:
    """The keys of all dicts in a packed value, in the order of `leaves`; not those that hold nothing but None."""
    if isinstance(tree, list):
        return [key for entry in tree for key in keys(entry)]
    match tree:
        case {"tuple": list(entries)}:
            return keys(entries)
        case {"dict": list(entries)}:
            held = [entry for entry in entries if any(leaf is not None for leaf in leaves(entry[1]))]
            ordered = sorted(held, key=lambda entry: repr(entry[0]))
            return [found for key, value in ordered for found in (key, *keys(value))]
    return []


def unpack(tree: Any, tensors: Sequence[Any]) -> Any:
    """The value again; `tensors` may be anything that stands for them. Raises UnknownValue."""
    if isinstance(tree, list):
        return [unpack(entry, tensors) for entry in tree]
    if not isinstance(tree, dict):
        return tree
    if len(tree) != 1:
        raise UnknownValue("a node with several tags")
    tag, content = next(iter(tree.items()))
    return _unpack_tagged(tag, content, tensors)


def _unpack_tagged(tag: str, content: Any, tensors: Sequence[Any]) -> Any:
    match tag, content:
        case "tensor", int() if 0 <= content < len(tensors):
            return tensors[content]
        case "tuple", list():
            return tuple(unpack(entry, tensors) for entry in content)
        case "dict", list():
            return {unpack(key, tensors): unpack(entry, tensors) for key, entry in content}
        case "float", "nan" | "inf" | "-inf":
            return float(content)
        case "dtype", str():
            return dtype_named(content)
    raise UnknownValue(f"a node tagged {tag!r} that makes no sense")
