"""The order of trials."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.judge.trials import FEWEST_FRESH, plan_trials

ASKED, SEEDS = st.integers(1, 40), st.integers(0, 2**63 - 1)


@given(ASKED, SEEDS)
def test_every_plan_is_sound(asked, seed):
    trials = plan_trials(asked, seed)
    fresh = [trial for trial in trials if trial.kind == "fresh"]
    assert [trial.draw for trial in fresh] == list(range(max(asked, FEWEST_FRESH)))
    assert [trial.kind for trial in trials].count("altered") == 1
    assert trials[-1].kind == "again"
    for number, trial in enumerate(trials):
        if trial.kind != "fresh":
            (drawn,) = [
                other for other in trials[:number] if other.kind == "fresh" and other.draw == trial.draw
            ]
            assert (trial.place == drawn.place) == (trial.kind == "altered")
    assert {trial.place for trial in trials} == {0, 1}


@given(ASKED, SEEDS)
def test_a_plan_follows_from_its_seed(asked, seed):
    assert plan_trials(asked, seed) == plan_trials(asked, seed)


def test_nothing_can_be_told_by_counting():
    plans = [plan_trials(5, seed) for seed in range(200)]
    for call in range(1, 6):
        assert {plan[call].kind for plan in plans} == {"fresh", "altered"}
    assert {plan[0].place for plan in plans} == {0, 1}
    assert {plan[-1].draw for plan in plans} == {0, 1, 2, 3, 4}


@given(st.integers(3, 40), SEEDS)
def test_both_a_new_and_a_known_address_get_new_content(asked, seed):
    places = [trial.place for trial in plan_trials(asked, seed) if trial.kind == "fresh"]
    steps = set(itertools.pairwise(places))
    assert any(before == after for before, after in steps)
    assert any(before != after for before, after in steps)
