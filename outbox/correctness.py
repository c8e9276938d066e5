"""What the comparison of outputs found."""

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from kbd.outbox.report import Message, Report


def _named_if_not_finite(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _null_if_not_finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


ErrorSize = Annotated[float, Field(ge=0)]
"""A largest deviation; where it is infinite or undefined it stands as null, which is all JSON can say."""

MaybeErrorSize = Annotated[ErrorSize | None, BeforeValidator(_null_if_not_finite)]


class ToleranceReport(Report):
    """The bounds that were applied: |found - expected| <= atol + rtol * |expected|."""

    atol: float = Field(ge=0)
    rtol: float = Field(ge=0)


Value = int | float | Literal["nan", "inf", "-inf"]
"""An element; JSON has no words of its own for the special ones."""


class WorstElement(Report):
    """The element farthest outside its tolerance, in the trial that found it."""

    index: tuple[int, ...]
    expected: Annotated[Value, BeforeValidator(_named_if_not_finite)]
    found: Annotated[Value, BeforeValidator(_named_if_not_finite)]


class OutputReport(Report):
    """One output over all trials, the worst of them. `problem` is one readable line, null if none.

    `worst` is null where all elements match.
    """

    name: str
    max_abs_error: MaybeErrorSize = None
    max_rel_error: MaybeErrorSize = None
    matched_ratio: float | None = Field(default=None, ge=0, le=1)
    tolerance: ToleranceReport | None = None
    worst: WorstElement | None = None
    problem: Message | None = None


class Correctness(Report):
    """How outputs were compared: trials done, source of the expected values, each output's figures.

    `trials` are those that were asked for, on fresh inputs; `extra_trials` are kbd's own: an earlier input again,
    at another place in memory, or with a few elements changed.
    """

    trials: int = Field(ge=1)
    extra_trials: int = Field(default=0, ge=0)
    oracle: str
    outputs: tuple[OutputReport, ...] = ()
