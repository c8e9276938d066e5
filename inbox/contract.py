"""The IOContract: which arguments a kernel takes, what they hold, and how it is launched.

A name in an expression means an integer argument with a literal value, else an axis, which a workload binds.
A launch may also name integer arguments whose own value is an expression.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Annotated, Self

from pydantic import Field, model_validator

from kbd.inbox.arg_spec import INT_HIGH, INT_LOW, ArgSpec
from kbd.inbox.bound_contract import BoundArg, BoundContract, BoundTensor, Role, Scalar
from kbd.inbox.errors import InvalidJob, Problem, pointer_to
from kbd.inbox.launch import BoundLaunch, LaunchConfig
from kbd.inbox.sizes import Resolver, names_in_all
from kbd.inbox.tensor_data import TensorData
from kbd.inbox.tensor_init import InitKind, TensorInit
from kbd.inbox.tensor_spec import TensorSpec, content_extremes
from kbd.inbox.validation import StrictModel, collect

__all__ = [
    "ArgSpec",
    "BoundArg",
    "BoundContract",
    "BoundLaunch",
    "BoundTensor",
    "IOContract",
    "InitKind",
    "LaunchConfig",
    "TensorData",
    "TensorInit",
    "TensorSpec",
]

MAX_ARGS = 256
MAX_AXES = 256
MAX_SIZE = 1 << 40
"""What one dimension or one tensor may have, in elements: beyond any device."""


class IOContract(StrictModel):
    """All arguments, in the order of the kernel's parameters, and the launch of a bare kernel.

    Attributes:
        launch: of a bare Triton or CUDA kernel; modules launch by themselves.
    """

    args: Annotated[tuple[ArgSpec, ...], Field(max_length=MAX_ARGS, description="the list of arguments")]
    launch: LaunchConfig | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        collect(self._axis_problems())
        collect(chain(self._repeated_names(), self._ambiguous_names(), self._given_though_tuned()))
        if not self.axes:
            collect(self._bound({})[1])
        return self

    @property
    def axes(self) -> frozenset[str]:
        """The names that a workload must bind."""
        return self._size_axes() | self.launch_axes

    @property
    def launch_axes(self) -> frozenset[str]:
        """Names that only the launch leaves open."""
        if self.launch is None:
            return frozenset()
        own = {arg.name for arg in self.args if arg.literal is not None or arg.expression is not None}
        names = names_in_all(size for _, size in self.launch.sizes())
        return names.difference(self.launch.tuned, own, self._size_axes())

    def bind(self, axes: Mapping[str, int]) -> BoundContract:
        """The contract in numbers. Names in `axes` that it does not use are ignored.

        Raises InvalidJob (pointers relative to the contract): an axis not bound, or bound by an argument as
        well; a size, grid or block out of range; content that does not fit.
        """
        bound, problems = self._bound(axes)
        if problems:
            raise InvalidJob(problems)
        return bound

    def bound_twice(self, axes: Iterable[str]) -> list[str]:
        """The axes among those named that an integer argument binds as well."""
        return sorted(self._literals().keys() & set(axes))

    def _literals(self) -> dict[str, int]:
        return {arg.name: arg.literal for arg in self.args if arg.literal is not None}

    def _size_axes(self) -> frozenset[str]:
        """Names that shapes, strides and values of arguments leave open."""
        return names_in_all(size for arg in self.args for _, size in arg.sizes()) - self._literals().keys()

    @property
    def expression_chars(self) -> int:
        """Characters of all expressions together: what binding it costs."""
        launch = () if self.launch is None else self.launch.sizes()
        sizes = chain(launch, *(arg.sizes() for arg in self.args))
        return sum(len(size) for _, size in sizes if isinstance(size, str))

    @property
    def literal_chars(self) -> int:
        """Characters of the data that stands in the contract itself."""
        sources = (arg.tensor_spec.data for arg in self.args if arg.tensor_spec is not None)
        return sum(len(data.data_b64 or "") for data in sources if data is not None)

    def _axis_problems(self) -> Iterator[Problem]:
        if (found := len(self.axes)) > MAX_AXES:
            hint = "give several sizes one name"
            yield Problem("/args", "too many axes", f"at most {MAX_AXES}", str(found), hint)

    def _repeated_names(self) -> Iterator[Problem]:
        first: dict[str, int] = {}
        for index, arg in enumerate(self.args):
            if arg.name in first:
                message = f"the argument {arg.name} is given twice"
                hint = f"rename it; the first one is args/{first[arg.name]}"
                yield Problem(f"/args/{index}/name", message, "a name of its own", arg.name, hint)
            first.setdefault(arg.name, index)

    def _ambiguous_names(self) -> Iterator[Problem]:
        axes = self._size_axes()
        for index, arg in enumerate(self.args):
            if arg.expression is not None and arg.name in axes and arg.expression.strip() != arg.name:
                message = f"{arg.name} is bound twice: it is an axis, and an argument with another value"
                hint = f"rename the argument, or make its value {arg.name}"
                yield Problem(f"/args/{index}/value", message, arg.name, arg.expression, hint)

    def _given_though_tuned(self) -> Iterator[Problem]:
        tuned = self.launch.tuned if self.launch is not None else ()
        for index, arg in enumerate(self.args):
            if arg.name in tuned:
                message = f"{arg.name} is given, and is to be chosen by the kernel's configurations"
                hint = "leave it out of args, or out of launch.tuned"
                yield Problem(f"/args/{index}/name", message, "one of the two", arg.name, hint)

    def _bound(self, axes: Mapping[str, int]) -> tuple[BoundContract, list[Problem]]:
        used = {name: axes[name] for name in sorted(self.axes & axes.keys())}
        resolver = Resolver({**used, **self._literals()})
        values = {
            arg.name: resolver.number(arg.expression, f"/args/{index}/value", INT_LOW, INT_HIGH)
            for index, arg in enumerate(self.args)
            if arg.expression is not None
        }
        are_values_known = not resolver.problems
        args = tuple(
            _bind_arg(arg, values.get(arg.name, arg.value), resolver, pointer_to("args", index))
            for index, arg in enumerate(self.args)
        )
        resolver.bindings.update(values)
        launch = None
        if self.launch is not None and are_values_known:
            launch = self.launch.bind(resolver, "/launch")
        problems = [*self._twice_problems(axes), *resolver.problems]
        return BoundContract.model_construct(axes=used, args=args, launch=launch), problems

    def _twice_problems(self, axes: Mapping[str, int]) -> Iterator[Problem]:
        for name in self.bound_twice(axes):
            found = f"{axes[name]} by the workload, {self._literals()[name]} by the argument"
            yield Problem("", f"axis {name} is bound twice", "once", found, "remove one of them")


def _bind_arg(arg: ArgSpec, value: Scalar | None, resolver: Resolver, pointer: str) -> BoundArg:
    if arg.type == "float" and value is not None:
        value = float(value)
    spec = arg.tensor_spec
    tensor = None if spec is None else _bind_tensor(arg, spec, resolver, f"{pointer}/tensor_spec")
    return BoundArg(
        name=arg.name, type=arg.type, role=arg.role, is_meta=arg.is_meta, value=value, tensor=tensor
    )


def _bind_tensor(arg: ArgSpec, spec: TensorSpec, resolver: Resolver, pointer: str) -> BoundTensor:
    known = len(resolver.problems)
    shape = resolver.numbers(spec.shape, f"{pointer}/shape", 0, MAX_SIZE)
    strides = None
    if spec.strides is not None:
        strides = resolver.numbers(spec.strides, f"{pointer}/strides", 0, MAX_SIZE)
    tensor = BoundTensor(
        shape=shape,
        dtype=spec.dtype,
        init=spec.init,
        data=spec.data,
        strides=strides,
        tolerance=spec.tolerance,
    )
    if len(resolver.problems) == known:
        problems = _bound_tensor_problems(arg.role, tensor)
        resolver.problems += (
            Problem(pointer + problem.pointer, problem.message, problem.expected, problem.found, problem.hint)
            for problem in problems
        )
    return tensor


def _bound_tensor_problems(role: Role, tensor: BoundTensor) -> Iterator[Problem]:
    shape = str(list(tensor.shape))
    if math.prod(tensor.shape) > MAX_SIZE or tensor.extent > MAX_SIZE:
        yield Problem("/shape", "larger than any device", f"at most {MAX_SIZE} elements", shape)
        return
    if role != "input" and tensor.elements == 0:
        yield Problem("/shape", "an output without elements cannot be judged", "1 or more", shape)
    if tensor.overlaps_itself:
        message = f"elements of an {role} lie on each other, or between each other"
        expected = f"each stride past all that smaller ones reach in shape {shape}"
        found = str(list(tensor.strides or ()))
        yield Problem("/strides", message, expected, found, "enlarge them")
    if role != "output":
        yield from _content_problems(tensor)


def _content_problems(tensor: BoundTensor) -> Iterator[Problem]:
    content, dtype = tensor.content, tensor.dtype
    if isinstance(content, TensorData):  # TensorSpec has checked the bytes against its literal shape
        if content.shape not in (None, tensor.shape):
            expected, found = str(list(tensor.shape)), str(list(content.shape or ()))
            yield Problem("/data/shape", "not the shape of the tensor", expected, found)
        return
    if tensor.init is None and not dtype.is_floating:
        hint = "add init, such as {kind: randint, high: 10}"
        yield Problem("/init", f"an input of dtype {dtype} needs a content", "init or data", "neither", hint)
    low, high = content_extremes(content, tensor.shape)
    if (bounds := dtype.bounds) is not None and not bounds[0] <= low <= high <= bounds[1]:
        expected, found = f"{bounds[0]} to {bounds[1]}", f"{low} to {high}"
        yield Problem("/init/kind", f"{content.kind} leaves the range of {dtype}", expected, found)


def axes_of(contracts: Iterable[IOContract | None]) -> frozenset[str]:
    """The axes that any of the contracts needs."""
    return frozenset().union(*(contract.axes for contract in contracts if contract is not None))
