"""How a tensor's content is generated."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from kbd.inbox.dtypes import DType
from kbd.inbox.errors import Problem, ProblemsFound
from kbd.inbox.plain_values import shown
from kbd.inbox.validation import StrictModel, collect

MAX_SEED = (1 << 63) - 1


class InitKind(StrEnum):
    """The ways to fill a tensor."""

    RANDN = "randn"
    ZEROS = "zeros"
    ONES = "ones"
    UNIFORM = "uniform"
    RANDINT = "randint"
    FULL = "full"
    ARANGE = "arange"
    EYE = "eye"
    PERMUTATION = "permutation"

    @property
    def is_random(self) -> bool:
        """Whether another seed gives another content."""
        return self in _RANDOM_KINDS

    @property
    def parameters(self) -> frozenset[str]:
        """The fields of TensorInit that mean something for this kind, `kind` and `seed` aside."""
        return _PARAMETERS.get(self, frozenset())


_RANDOM_KINDS = frozenset({InitKind.RANDN, InitKind.UNIFORM, InitKind.RANDINT, InitKind.PERMUTATION})
_PARAMETERS = {
    InitKind.RANDN: frozenset({"mean", "std"}),
    InitKind.UNIFORM: frozenset({"low", "high"}),
    InitKind.RANDINT: frozenset({"low", "high"}),
    InitKind.FULL: frozenset({"fill_value"}),
    InitKind.ARANGE: frozenset({"start", "step"}),
}
_FLOATING_KINDS = frozenset({InitKind.RANDN, InitKind.UNIFORM})


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ProblemsFound([Problem("", "wrong value", "a number", shown(value))])
    return value


def _fill(value: Any) -> Any:
    return value if isinstance(value, bool) else _number(value)


# A whole number stays one: an int64 does not fit a float.
Number = Annotated[int | float, BeforeValidator(_number)]
FillValue = Annotated[bool | int | float, BeforeValidator(_fill)]


class TensorInit(StrictModel):
    """A generated content. Fields left out take the default of their kind.

    Attributes:
        kind: randn (mean 0, std 1), uniform over [low 0, high 1), randint over [low 0, high), zeros, ones,
            full (fill_value), arange in row-major order (start 0, step 1), eye (two dimensions), permutation
            (of 0 … n-1 along the last dimension).
        seed: of the first correctness trial; later trials and timed bursts draw anew. None: the judge draws.
        mean: of randn.
        std: of randn.
        low: of uniform and randint, included.
        high: of uniform and randint, left out.
        fill_value: of full.
        start: of arange.
        step: of arange.
    """

    kind: InitKind = InitKind.RANDN
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    mean: Number | None = None
    std: Number | None = None
    low: Number | None = None
    high: Number | None = None
    fill_value: FillValue | None = None
    start: Number | None = None
    step: Number | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        collect([*self._unused(), *self._unusable()])
        return self

    def _unused(self) -> Iterator[Problem]:
        known = self.kind.parameters | {"kind", "seed"}
        for name in type(self).model_fields:
            if name not in known and getattr(self, name) is not None:
                takes = ", ".join(sorted(self.kind.parameters)) or "only a seed"
                hint = "remove it, or choose another kind"
                yield Problem(f"/{name}", f"means nothing for kind {self.kind}", f"{takes}", name, hint)

    def _unusable(self) -> Iterator[Problem]:
        if self.kind is InitKind.FULL and self.fill_value is None:
            yield Problem("/fill_value", "a required field is missing", hint="say what to fill it with")
        if self.kind is InitKind.RANDINT and self.high is None:
            yield Problem(
                "/high", "a required field is missing", hint="numbers are drawn from low to high - 1"
            )
        if self.std is not None and self.std < 0:
            yield Problem("/std", "a negative deviation", "at least 0", str(self.std))
        if self.step == 0:
            yield Problem("/step", "a step of 0 repeats one value", "another number", "0", "use kind full")
        yield from self._bad_range()

    def _bad_range(self) -> Iterator[Problem]:
        if self.kind is InitKind.RANDINT:
            for name in ("low", "high"):
                value = getattr(self, name)
                if isinstance(value, float) and not value.is_integer():
                    yield Problem(f"/{name}", "wrong value", "a whole number for randint", str(value))
        low = 0 if self.low is None else self.low
        high = 1 if self.high is None and self.kind is InitKind.UNIFORM else self.high
        if high is not None and not low < high:
            yield Problem("/high", "an empty range", f"a number greater than low = {low}", str(high))

    def dtype_problems(self, dtype: DType) -> Iterator[Problem]:
        """Why this content cannot be held by a tensor of `dtype`; pointers are relative to the init."""
        if self.kind in _FLOATING_KINDS and not dtype.is_floating:
            hint = "use kind randint, or a floating dtype"
            yield Problem("/kind", f"{self.kind} needs a floating dtype", found=f"dtype {dtype}", hint=hint)
        if self.kind is InitKind.PERMUTATION and dtype is DType.BOOL:
            yield Problem(
                "/kind", "a permutation of bools is none", found=f"dtype {dtype}", hint="use randint"
            )
        if (bounds := dtype.bounds) is None:
            return
        for name, value in self._extremes():
            if not bounds[0] <= value <= bounds[1]:
                expected = f"{bounds[0]} to {bounds[1]}"
                yield Problem(f"/{name}", f"does not fit {dtype}", expected, str(value))
            elif isinstance(value, float) and not value.is_integer():
                yield Problem(f"/{name}", f"does not fit {dtype}", "a whole number", str(value))

    def _extremes(self) -> Iterator[tuple[str, int | float]]:
        if self.fill_value is not None:
            yield "fill_value", self.fill_value
        if self.kind is InitKind.RANDINT and self.low is not None:
            yield "low", self.low
        if self.kind is InitKind.RANDINT and self.high is not None:
            yield "high", self.high - 1
        if self.start is not None:
            yield "start", self.start
        if self.step is not None:
            yield "step", self.step
