"""What one tensor of a contract looks like and holds."""

import math
from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import Field, model_validator

from kbd.inbox.dtypes import DType
from kbd.inbox.errors import Problem
from kbd.inbox.plain_values import shown
from kbd.inbox.sizes import Size
from kbd.inbox.tensor_data import MAX_RANK, TensorData
from kbd.inbox.tensor_init import InitKind, TensorInit
from kbd.inbox.tolerance import Tolerance
from kbd.inbox.validation import StrictModel, below, collect

_SHAPE = "a list of sizes such as [M, 1024]; outputs are allocated from it, so they need one too"


class TensorSpec(StrictModel):
    """Shape, element type and content of a tensor.

    Attributes:
        shape: sizes of its dimensions.
        dtype: of its elements.
        init: how the content is generated; a floating input without init and data is `randn`.
        data: the content itself; instead of init.
        strides: in elements, one per dimension, so that no elements share a place; None is contiguous.
        tolerance: for this output; None is the job's.
    """

    shape: Annotated[tuple[Size, ...], Field(max_length=MAX_RANK, description=_SHAPE)]
    dtype: DType = DType.FLOAT32
    init: TensorInit | None = None
    data: TensorData | None = None
    strides: Annotated[tuple[Size, ...], Field(max_length=MAX_RANK)] | None = None
    tolerance: Tolerance | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        collect([*self._source_problems(), *self._layout_problems()])
        return self

    @property
    def literal_shape(self) -> tuple[int, ...] | None:
        """The shape where all sizes are plain numbers."""
        sizes = tuple(size for size in self.shape if isinstance(size, int))
        return sizes if len(sizes) == len(self.shape) else None

    def _source_problems(self) -> Iterator[Problem]:
        if self.init is not None and self.data is not None:
            yield Problem("", "two sources of content", "either init or data", "both", "remove one of them")
        if self.init is not None:
            yield from below("/init", self.init.dtype_problems(self.dtype))
        if self.data is None:
            return
        if self.data.dtype not in (None, self.dtype):
            hint = "make tensor_spec.dtype and data.dtype equal"
            yield Problem("/data/dtype", "not the dtype of the tensor", self.dtype, self.data.dtype, hint)
        yield from self._data_shape_problems(self.data)

    def _data_shape_problems(self, data: TensorData) -> Iterator[Problem]:
        shape = self.literal_shape
        if shape is None:
            if data.data_b64 is not None:
                hint = "write numbers, or use init"
                yield Problem("/shape", "literal data has one size", "numbers", "an expression", hint)
            return
        if data.shape not in (None, shape):
            expected, found = str(list(shape)), str(list(data.shape or ()))
            yield Problem("/data/shape", "not the shape of the tensor", expected, found, "make both equal")
        elif data.shape is None or data.dtype is None:  # else the data has checked itself
            yield from below("/data", filter(None, [data.content_problem(shape, self.dtype)]))

    def _layout_problems(self) -> Iterator[Problem]:
        for index, size in enumerate(self.shape):
            if isinstance(size, int) and size < 0:
                yield Problem(f"/shape/{index}", "a negative size", "0 or more", str(size))
        if self.strides is not None and len(self.strides) != len(self.shape):
            expected, found = f"{len(self.shape)}, one per dimension", str(len(self.strides))
            yield Problem("/strides", "wrong number of strides", expected, found)
        kind = None if self.init is None else self.init.kind
        if kind is InitKind.EYE and len(self.shape) != 2:
            yield Problem("/init/kind", "eye needs two dimensions", "2", str(len(self.shape)))
        if kind is InitKind.PERMUTATION and not self.shape:
            yield Problem("/init/kind", "a permutation needs a dimension", "1 or more", shown(self.shape))


def content_extremes(init: TensorInit, shape: tuple[int, ...]) -> tuple[int | float, int | float]:
    """Smallest and largest number that kinds which count reach in a tensor of `shape`; else (0, 0)."""
    if init.kind is InitKind.PERMUTATION and shape:
        return 0, max(shape[-1] - 1, 0)
    if init.kind is InitKind.ARANGE:
        start = 0 if init.start is None else init.start
        last = start + (1 if init.step is None else init.step) * max(math.prod(shape) - 1, 0)
        return min(start, last), max(start, last)
    return 0, 0
