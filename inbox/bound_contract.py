"""A contract in numbers: what judge, runners and backends work with."""

import math
from typing import Literal

from kbd.inbox.dtypes import DType
from kbd.inbox.launch import BoundLaunch
from kbd.inbox.sizes import NonNegative
from kbd.inbox.tensor_data import TensorData
from kbd.inbox.tensor_init import TensorInit
from kbd.inbox.tolerance import Tolerance
from kbd.inbox.validation import StrictModel

Role = Literal["input", "output", "inout"]
ArgType = Literal["tensor", "int", "float", "str", "bool"]
Scalar = bool | int | float | str
_UNTOLD = TensorInit()


class BoundTensor(StrictModel):
    """A tensor with a known shape. `strides` are in elements; None is contiguous."""

    shape: tuple[NonNegative, ...]
    dtype: DType
    init: TensorInit | None = None
    data: TensorData | None = None
    strides: tuple[NonNegative, ...] | None = None
    tolerance: Tolerance | None = None

    @property
    def elements(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes of its elements, without gaps that strides leave."""
        return self.elements * self.dtype.itemsize

    @property
    def extent(self) -> int:
        """Elements from the first to behind the last one in memory, gaps included."""
        if self.strides is None or self.elements == 0:
            return self.elements
        return 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))

    @property
    def content(self) -> TensorInit | TensorData:
        """What an input holds: its data or init, else `randn`."""
        return self.data or self.init or _UNTOLD

    @property
    def is_pinned(self) -> bool:
        """Whether no seed can change the content."""
        content = self.content
        return isinstance(content, TensorData) or not content.kind.is_random

    @property
    def overlaps_itself(self) -> bool:
        """Whether strides may give two elements one place.

        Sufficient and cheap: dimensions in order of their strides, each must step over all smaller ones.
        """
        if self.strides is None or self.elements == 0:
            return False
        reach = 1
        for stride, size in sorted(zip(self.strides, self.shape, strict=True)):
            if size > 1 and stride < reach:
                return True
            reach += (size - 1) * stride
        return False


class BoundArg(StrictModel):
    """One argument: a tensor (`tensor` set), or a scalar (`value` set)."""

    name: str
    type: ArgType
    role: Role
    is_meta: bool = False
    value: Scalar | None = None
    tensor: BoundTensor | None = None

    @property
    def is_input(self) -> bool:
        """Whether the caller gives it a meaning: it is no pure output and no compile-time constant."""
        return self.role != "output" and not self.is_meta

    @property
    def is_output(self) -> bool:
        """Whether the kernel writes it."""
        return self.role != "input"


class BoundContract(StrictModel):
    """Arguments in the order of the kernel's parameters, and the launch if the contract has one."""

    axes: dict[str, int]
    args: tuple[BoundArg, ...]
    launch: BoundLaunch | None = None

    @property
    def tensors(self) -> tuple[BoundArg, ...]:
        """All tensor arguments."""
        return tuple(arg for arg in self.args if arg.tensor is not None)

    @property
    def inputs(self) -> tuple[BoundArg, ...]:
        """What a caller passes: tensors and scalars with role input or inout, without meta arguments."""
        return tuple(arg for arg in self.args if arg.is_input)

    @property
    def input_tensors(self) -> tuple[BoundArg, ...]:
        """The tensors among the inputs."""
        return tuple(arg for arg in self.tensors if arg.is_input)

    @property
    def outputs(self) -> tuple[BoundArg, ...]:
        """The tensors that the kernel writes: role output or inout."""
        return tuple(arg for arg in self.tensors if arg.is_output)

    @property
    def meta_args(self) -> tuple[BoundArg, ...]:
        """Compile-time constants (Triton's constexpr)."""
        return tuple(arg for arg in self.args if arg.is_meta)

    @property
    def has_pinned_inputs(self) -> bool:
        """Whether some input tensor has the same content in every trial."""
        return any(arg.tensor is not None and arg.tensor.is_pinned for arg in self.input_tensors)
