"""Tensors, and values with tensors in them, as judge and runner tell each other of them."""

from __future__ import annotations

import math
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from kbd.daemon.executor.packed_tree import check_tree
from kbd.daemon.executor.protocol import Count, Message, Name

LARGEST_TENSOR_ELEMENTS = 1 << 40


class TensorMeta(Message):
    """What a tensor looks like; `stride` in elements, absent when contiguous."""

    shape: tuple[Count, ...] = Field(max_length=32)
    dtype: Name
    stride: tuple[Count, ...] | None = Field(default=None, max_length=32)
    device: Name = "cpu"

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.stride is not None and len(self.stride) != len(self.shape):
            raise ValueError("a stride for every dimension")
        stride = self.stride or ()
        reach = sum((size - 1) * step for size, step in zip(self.shape, stride, strict=False) if size)
        if max(math.prod(self.shape), reach) > LARGEST_TENSOR_ELEMENTS:
            raise ValueError(f"at most {LARGEST_TENSOR_ELEMENTS} elements")
        return self


class Slot(Message):
    """Where a tensor lies: `offset` bytes into a mapped arena."""

    arena: Count
    offset: Count
    meta: TensorMeta


class Overlap(Message):
    """A tensor that was returned shares memory with another: number `other` of the inputs, or of the outputs."""

    output: Count
    kind: Literal["input", "output"]
    other: Count


class Values(Message):
    """A tree of plain values with its tensors taken out (see kbd.daemon.runner.values).

    `overlaps` is told of outputs only, and is a claim: what really lies where, the judge sees for itself.
    """

    tree: Any
    tensors: tuple[TensorMeta, ...] = Field(default=(), max_length=4096)
    overlaps: tuple[Overlap, ...] = Field(default=(), max_length=4096)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        check_tree(self.tree, len(self.tensors))
        return self
