"""How a tensor of some form is stored where the judge has a copy of it."""

from __future__ import annotations

from kbd.daemon.executor.tensor_messages import TensorMeta
from kbd.daemon.runner.values import dtype_named, require_comparable


def dense_form(meta: TensorMeta) -> TensorMeta:
    """Strides survive where they describe a permutation; a broadcast or sliced tensor is stored row-major.

    Raises UnknownValue for a dtype that does not exist, or that nobody can compare.
    """
    require_comparable(dtype_named(meta.dtype))
    if meta.stride is None or not _is_permutation(meta):
        return TensorMeta(shape=meta.shape, dtype=meta.dtype)
    return TensorMeta(shape=meta.shape, dtype=meta.dtype, stride=meta.stride)


def _is_permutation(meta: TensorMeta) -> bool:
    assert meta.stride is not None
    step = 1
    for stride, size in sorted(zip(meta.stride, meta.shape, strict=True)):
        if size != 1 and stride != step:
            return False
        step *= size
    return True
