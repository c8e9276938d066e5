"""What the comparison of outputs found."""

import math
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from kbd.outbox.report import Message, Report


def _null_if_not_finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


ErrorSize = Annotated[float, Field(ge=0)]
"""A largest deviation; where it is infinite or undefined it stands as null, which is all JSON can say."""

MaybeErrorSize = Annotated[ErrorSize | None, BeforeValidator(_null_if_not_finite)]


class ToleranceReport(Report):
    """The bounds that were applied: |found - expected| <= atol + rtol * |expected|."""

    atol: float = Field(ge=0)
    rtol: float = Field(ge=0)


class OutputReport(Report):
    """One output tensor over all trials, the worst of them. `problem` is one readable line, null if none."""

    name: str
    max_abs_error: MaybeErrorSize = None
    max_rel_error: MaybeErrorSize = None
    matched_ratio: float | None = Field(default=None, ge=0, le=1)
    tolerance: ToleranceReport | None = None
    problem: Message | None = None


class Correctness(Report):
    """How outputs were compared: trials done, source of the expected values, each output's figures."""

    trials: int = Field(ge=1)
    oracle: str
    outputs: tuple[OutputReport, ...] = ()
