"""Sizes in a contract: a whole number, or an expression over axes that becomes one."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from kbd.inbox.allowance import MAX_EXPRESSION_CHARS, may_parse
from kbd.inbox.axes import AxisError, AxisExpression
from kbd.inbox.errors import Problem, ProblemsFound, pointer_to
from kbd.inbox.plain_values import shown

_EXPECTED = "a whole number, an axis, or an expression such as ceildiv(N, 128)"
_AXES_OF_SPACE = ("x", "y", "z")


def _checked(value: Any) -> Any:
    if isinstance(value, str):
        if not may_parse(len(value)):
            expected = f"at most {MAX_EXPRESSION_CHARS} characters of expressions in a manifest"
            raise ProblemsFound([Problem("", "too many expressions", expected, "more", "write numbers")])
        try:
            AxisExpression.parse(value)
        except AxisError as error:
            raise ProblemsFound([Problem("", f"cannot be read: {error}", _EXPECTED, shown(value))]) from None
    elif not isinstance(value, int) or isinstance(value, bool):
        raise ProblemsFound([Problem("", "wrong value", _EXPECTED, shown(value))])
    return value


Size = Annotated[int | str, BeforeValidator(_checked)]
"""A whole number, or the text of an `AxisExpression`."""


def _as_triple(value: Any) -> Any:
    """`n`, `"expression"`, `[x, y]` or `{x, y, z}` as a triple; missing ones are 1."""
    if isinstance(value, dict):
        if unknown := [key for key in value if key not in _AXES_OF_SPACE]:
            raise ProblemsFound(
                Problem(pointer_to(key), "unknown field", "x, y and z", key, "remove it") for key in unknown
            )
        value = [value.get(key, 1) for key in _AXES_OF_SPACE]
    elif isinstance(value, int | str):
        value = [value]
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= 3:
        expected = "a number, an expression, a list of 1 to 3, or {x, y, z}"
        raise ProblemsFound([Problem("", "wrong value", expected, shown(value))])
    return tuple([*value, 1, 1][:3])


Size3 = Annotated[
    tuple[Size, Size, Size],
    BeforeValidator(_as_triple, json_schema_input_type=int | str | list[int | str] | dict[str, int | str]),
]
"""Three sizes (x, y, z); a user may write one, a list, or a mapping."""

NonNegative = Annotated[int, Field(ge=0)]


def names_in(size: int | str) -> frozenset[str]:
    """The axes that a checked size needs."""
    return AxisExpression.parse(size).names if isinstance(size, str) else frozenset()


def names_in_all(sizes: Iterable[int | str]) -> frozenset[str]:
    """The axes that any of the sizes needs."""
    return frozenset().union(*map(names_in, sizes))


class Resolver:
    """Turns sizes into numbers under one set of bindings and keeps the problems it meets."""

    def __init__(self, bindings: Mapping[str, int]) -> None:
        self.bindings = dict(bindings)
        self.problems: list[Problem] = []

    def number(self, size: int | str, pointer: str, low: int, high: int, what: str = "the number") -> int:
        """The value of a checked size, which must lie within `low` and `high`; `low` where it does not."""
        try:
            value = AxisExpression.parse(size).evaluate(self.bindings) if isinstance(size, str) else size
        except AxisError as error:
            self.problems.append(Problem(pointer, f"{shown(size)} has no value: {error}"))
            return low
        if not low <= value <= high:
            found = str(value) if isinstance(size, int) else f"{value} = {size}{self._bound_text(size)}"
            expected = f"{low} to {high}"
            self.problems.append(Problem(pointer, f"{what} is out of range", expected, found))
            return low
        return value

    def numbers(self, sizes: Iterable[int | str], pointer: str, low: int, high: int) -> tuple[int, ...]:
        """`number` for each of a list."""
        return tuple(self.number(size, f"{pointer}/{index}", low, high) for index, size in enumerate(sizes))

    def _bound_text(self, size: str) -> str:
        used = sorted(names_in(size) & self.bindings.keys())
        return f" with {', '.join(f'{name}={self.bindings[name]}' for name in used)}" if used else ""
