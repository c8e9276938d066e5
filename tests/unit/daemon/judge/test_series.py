"""What a series makes of its figures."""

import math

import pytest

from kbd.daemon.judge.series import LATEST_EMPTIES, Series


@pytest.mark.parametrize(
    ("empties", "usual"),
    [
        ([], math.inf),
        ([5.0], 5.0),
        ([5.0, 3.0, 4.0], 5.0),
        ([1.0, 2.0, 3.0, 4.0], 3.0),
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 900.0, 900.0], 6.0),
        ([900.0] * 10 + [1.0] * LATEST_EMPTIES, 1.0),
    ],
)
def test_what_an_empty_burst_usually_takes(empties, usual):
    """A host that disturbed one of four has no say in it."""
    series = Series()
    series.latest_empties_us.extend(empties)
    assert series.usual_empty_us == usual


def test_from_the_end_of_a_turn_to_the_beginning_of_the_next():
    series = Series()
    watched = []
    for begins, ends in ((10.0, 20.0), (25.0, 40.0), (40.0, None), (60.0, 70.0), (71.0, 80.0)):
        watched.append(series.is_watched)
        series.begin_turn(begins)
        series.end_turn(ends)
    assert watched == [False, True, True, False, True]
    assert series.at_rest_us == [5.0, 0.0, 1.0]


def test_where_nobody_counts_cpu_time():
    series = Series()
    for _ in range(3):
        series.begin_turn(None)
        series.end_turn(None)
    assert series.at_rest_us == []
