"""How far an output may be from what is expected."""

from typing import Annotated

from pydantic import Field

from kbd.inbox.validation import StrictModel


class Tolerance(StrictModel):
    """Bounds as in `numpy.isclose`: |candidate - expected| <= atol + rtol * |expected|.

    Attributes:
        atol: absolute bound; None lets the judge choose by dtype and by the scale of the expected output.
        rtol: relative bound; None as above.
        required_matched_ratio: share of the elements that must be within the bounds.
    """

    atol: Annotated[float, Field(ge=0)] | None = None
    rtol: Annotated[float, Field(ge=0)] | None = None
    required_matched_ratio: Annotated[float, Field(gt=0, le=1)] = 1.0
