import math

import pytest
from pydantic import ValidationError

from kbd.outbox.correctness import Correctness, OutputReport


@pytest.mark.parametrize("size", [math.inf, math.nan, -math.inf])
def test_what_json_cannot_say_is_null(size):
    report = OutputReport(name="y", max_abs_error=size, max_rel_error=size)
    assert (report.max_abs_error, report.max_rel_error) == (None, None)


@pytest.mark.parametrize(
    "wrong", [{"max_abs_error": -1.0}, {"matched_ratio": 1.1}, {"matched_ratio": math.nan}, {"name": 3}]
)
def test_impossible_figures_are_refused(wrong):
    with pytest.raises(ValidationError):
        OutputReport(**{"name": "y"} | wrong)


def test_a_comparison_has_trials():
    with pytest.raises(ValidationError):
        Correctness(trials=0, oracle="reference")
