"""One argument of a kernel, as its user describes it."""

from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from kbd.inbox.axes import NAME_PATTERN, AxisError, AxisExpression
from kbd.inbox.bound_contract import ArgType, Role, Scalar
from kbd.inbox.errors import Problem, ProblemsFound
from kbd.inbox.plain_values import shown
from kbd.inbox.tensor_spec import TensorSpec
from kbd.inbox.validation import StrictModel, collect

INT_LOW, INT_HIGH = -(1 << 63), (1 << 64) - 1
"""What an int argument may be: any signed or unsigned number of 64 bits."""

_SCALAR_EXPECTATIONS = {
    "int": "a whole number of 64 bits, or an expression over axes",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
}


def _scalar(value: Any) -> Any:
    if value is not None and not isinstance(value, bool | int | float | str):
        raise ProblemsFound([Problem("", "wrong value", "a number, text, true or false", shown(value))])
    return value


class ArgSpec(StrictModel):
    """One argument of a kernel.

    Attributes:
        name: as the kernel calls it; expressions may use the name of an integer argument.
        type: tensor, or the type a scalar is passed as.
        value: of a scalar; for an int also an expression over axes, such as `M * N`.
        tensor_spec: of a tensor.
        role: who writes it. Outputs are allocated by the judge.
        is_meta: a compile-time constant (Triton's constexpr).
    """

    name: Annotated[str, Field(pattern=f"^{NAME_PATTERN.pattern}$", description="the parameter's name")]
    type: Annotated[ArgType, Field(description="tensor, int, float, str or bool")]
    value: Annotated[Scalar | None, BeforeValidator(_scalar)] = None
    tensor_spec: TensorSpec | None = None
    role: Role = "input"
    is_meta: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        collect(self._tensor_problems() if self.type == "tensor" else self._scalar_problems())
        return self

    @property
    def literal(self) -> int | None:
        """The value of an int argument that is a plain number."""
        return self.value if self.type == "int" and type(self.value) is int else None

    @property
    def expression(self) -> str | None:
        """The value of an int argument that is an expression over axes."""
        return self.value if self.type == "int" and isinstance(self.value, str) else None

    def sizes(self) -> Iterator[tuple[str, int | str]]:
        """Every size that axes can bind, with its pointer relative to the argument."""
        if self.expression is not None:
            yield "/value", self.expression
        if self.tensor_spec is None:
            return
        for index, size in enumerate(self.tensor_spec.shape):
            yield f"/tensor_spec/shape/{index}", size
        for index, size in enumerate(self.tensor_spec.strides or ()):
            yield f"/tensor_spec/strides/{index}", size

    def _tensor_problems(self) -> Iterator[Problem]:
        if self.tensor_spec is None:
            what = (
                "an output needs a shape" if self.role == "output" else "a tensor needs its shape and dtype"
            )
            yield Problem("/tensor_spec", what, "{shape, dtype, …}", "null", "add tensor_spec with a shape")
        if self.value is not None:
            hint = "put the content into tensor_spec.data or tensor_spec.init"
            yield Problem("/value", "a tensor has no value", "null", shown(self.value), hint)
        if self.is_meta:
            hint = "remove is_meta; only scalars can be compile-time constants"
            yield Problem("/is_meta", "a tensor cannot be a meta argument", "false", "true", hint)

    def _scalar_problems(self) -> Iterator[Problem]:
        if self.tensor_spec is not None:
            hint = "remove it, or make the type tensor"
            yield Problem("/tensor_spec", f"an argument of type {self.type} is no tensor", "null", hint=hint)
        if self.role != "input":
            hint = "return numbers through a tensor of shape [1]"
            yield Problem("/role", "only a tensor can be an output", "input", self.role, hint)
        if not self._value_fits():
            expected = _SCALAR_EXPECTATIONS[self.type]
            message = "a scalar needs a value" if self.value is None else f"no value for type {self.type}"
            yield Problem("/value", message, expected, shown(self.value))
        elif self.expression is not None:
            try:
                AxisExpression.parse(self.expression)
            except AxisError as error:
                hint = "write a number, or an expression over axes such as M * N"
                yield Problem("/value", f"cannot be read: {error}", found=shown(self.value), hint=hint)

    def _value_fits(self) -> bool:
        value = self.value
        if self.type == "bool" or isinstance(value, bool):
            return self.type == "bool" and isinstance(value, bool)
        if self.type == "int":
            return isinstance(value, str) or (isinstance(value, int) and INT_LOW <= value <= INT_HIGH)
        return isinstance(value, str) if self.type == "str" else isinstance(value, int | float)
