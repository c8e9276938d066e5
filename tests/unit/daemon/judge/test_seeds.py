"""Seeds: all from one number, none from another."""

from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.judge.seeds import MAX_SEED, Seeds

SEEDS = st.integers(0, MAX_SEED)
PLACES = st.tuples(st.sampled_from(["trial", "timing"]), st.integers(0, 300), st.integers(0, 1000))


def seed_at(seeds, place):
    kind, workload, number = place
    return getattr(seeds, kind)(workload, number)


@given(SEEDS, PLACES)
def test_the_same_job_seed_gives_the_same_seeds(job, place):
    first, second = Seeds(job), Seeds(job)
    assert first.job == job
    assert first.constructors == second.constructors
    assert seed_at(first, place) == seed_at(second, place)
    assert 0 <= seed_at(first, place) <= MAX_SEED


@given(SEEDS, PLACES, PLACES)
def test_different_places_get_different_seeds(job, one, other):
    seeds = Seeds(job)
    assert (seed_at(seeds, one) == seed_at(seeds, other)) == (one == other)
    assert seed_at(seeds, one) != seeds.constructors


@given(SEEDS, SEEDS, PLACES)
def test_different_jobs_get_different_seeds(one, other, place):
    assert (seed_at(Seeds(one), place) == seed_at(Seeds(other), place)) == (one == other)


def test_without_a_seed_the_judge_draws_one():
    drawn = {Seeds(None).job for _ in range(20)}
    assert len(drawn) == 20
    assert all(0 <= seed <= MAX_SEED for seed in drawn)


def test_zero_is_a_seed_as_any_other():
    assert Seeds(0).job == 0
