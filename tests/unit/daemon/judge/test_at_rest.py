"""What is used between turns: honest kernels nothing, others are told apart by how much it may have gained them."""

import pytest

from kbd.daemon.judge.at_rest import (
    MARGIN_US,
    PROOF_SHARE,
    REFERENCE_FACTOR,
    RULE,
    UNTOLD_SHARE,
    check_rest,
    works_at_rest,
)
from kbd.daemon.judge.audit import Suspicious
from kbd.daemon.judge.series import Series, TimedKernels

TURN_US = 2_000.0
TURNS = 8


def series(used_us, turns=TURNS, turn_us=TURN_US):
    found = Series(turns_us=[turn_us] * turns)
    found.at_rest_us = list(used_us) if isinstance(used_us, list) else [used_us] * turns
    return found


def timed(candidate, reference=None):
    return TimedKernels("eager", None, candidate, reference, "n samples", input_sets=1)


def is_proof(found):
    try:
        check_rest(found)
    except Suspicious as error:
        return error.suspicion.rule == RULE
    return False


@pytest.mark.parametrize("alone", [True, False])
def test_by_how_much_they_work(alone):
    reference = None if alone else series(0.0)
    for share, says in ((UNTOLD_SHARE, works_at_rest), (PROOF_SHARE, is_proof)):
        limit = share * TURN_US + MARGIN_US
        assert not says(timed(series(limit * 0.99), reference))
        assert says(timed(series(limit * 1.01), reference))


def test_what_counts_is_the_turn_of_the_reference():
    """A candidate that has done its work before has short turns, or, where it waits for it, long ones."""
    used = PROOF_SHARE * TURN_US + MARGIN_US
    assert is_proof(timed(series(used * 1.01, turn_us=100 * TURN_US), series(0.0)))
    assert not is_proof(timed(series(used * 0.99, turn_us=1.0), series(0.0)))


def test_now_and_then_is_no_proof():
    used = [0.0] * (TURNS // 2 + 1) + [1e6] * (TURNS // 2 - 1)
    assert not is_proof(timed(series(used), series(0.0)))


def test_one_turn_is_enough():
    """Slow kernels have few."""
    assert is_proof(timed(series(1e6, turns=1), series(0.0, turns=1)))


def test_a_reference_that_does_not_sleep_either():
    theirs = 3_000.0
    limit = REFERENCE_FACTOR * theirs + PROOF_SHARE * TURN_US + MARGIN_US
    assert not is_proof(timed(series(limit * 0.99), series(theirs)))
    assert is_proof(timed(series(limit * 1.01), series(theirs)))


def test_where_nobody_counts():
    assert not works_at_rest(timed(series([]), series([])))
