"""Timing on a clock of the test's own: lengths, order, stop rules, fall back."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.judge.runner_link import RunnerLost
from kbd.daemon.judge.timing import (
    BURST_US,
    CHECK_EVERY,
    FIRST_CHECK,
    MAX_LAUNCHES,
    SHORTEST_LAUNCH_US,
    WIDE_LAUNCH_US,
    burst_lengths,
    time_kernels,
)

LAUNCHES = st.floats(SHORTEST_LAUNCH_US, 1e8)
METHODS = st.sampled_from(sorted(BURST_US))


@pytest.fixture
def kernels(make_kernel):
    """Candidate and reference that write every burst into one common diary."""

    def build(candidate_us=50.0, reference_us=100.0, **options):
        diary = []
        pair = []
        for role, launch_us in (("candidate", candidate_us), ("reference", reference_us)):
            kernel = make_kernel(role, lambda x: x, launch_us=launch_us, **options)
            kernel.burst = _noted(kernel, diary)
            pair.append(kernel)
        return *pair, diary

    return build


def _noted(kernel, diary):
    def burst(index, plain=kernel.burst):
        diary.append((kernel.role, index))
        return plain(index)

    return burst


def timed(candidate, reference, **options):
    values = {"sets": 2, "method": "eager", "max_samples": 10, "budget_s": 1e9, "clock": lambda: 0.0}
    return time_kernels(candidate, reference, **values | options)


# --- lengths ----------------------------------------------------------------------------------------


@given(LAUNCHES, METHODS)
def test_burst_lengths_are_usable(launch_us, method):
    short, long = burst_lengths(launch_us, *BURST_US[method])
    assert 0 <= short < long <= MAX_LAUNCHES


@given(LAUNCHES, METHODS)
def test_a_long_burst_is_long_enough_and_a_slow_kernel_runs_once(launch_us, method):
    short_us, long_us = BURST_US[method]
    short, long = burst_lengths(launch_us, short_us, long_us)
    assert short * launch_us <= short_us
    if launch_us >= WIDE_LAUNCH_US:
        assert (short, long) == (0, 1)
    elif long < MAX_LAUNCHES:
        assert long * launch_us >= long_us
        assert (long - 1) * launch_us < long_us or long == 2


@given(LAUNCHES, LAUNCHES, METHODS)
def test_a_slower_kernel_never_gets_a_longer_burst(one, other, method):
    fast, slow = sorted((one, other))
    assert burst_lengths(slow, *BURST_US[method])[1] <= burst_lengths(fast, *BURST_US[method])[1]


# --- what is found ----------------------------------------------------------------------------------


@pytest.mark.parametrize("launch_us", [0.2, 1.0, 33.3, 9_999.0, 10_000.0, 5e6])
@pytest.mark.parametrize("overhead_us", [0.0, 7.5, 1000.0])
def test_the_time_of_a_launch_is_found_whatever_a_burst_costs(make_kernel, launch_us, overhead_us):
    candidate = make_kernel("candidate", lambda x: x, launch_us=launch_us, overhead_us=overhead_us)
    found = timed(candidate, None, max_samples=3)
    assert found.candidate.measured_us == pytest.approx([launch_us] * 3, rel=1e-3)
    assert found.candidate.claimed_us == pytest.approx([launch_us / 2] * 3, rel=1e-3)
    assert found.reference is None


def test_a_clock_that_runs_backwards_gives_no_negative_time(kernels):
    candidate, _, _ = kernels()
    falling = itertools.count(1_000_000, -100)
    candidate.burst = lambda index: (float(next(falling)), float(next(falling)))
    found = timed(candidate, None)
    assert min(found.candidate.measured_us + found.candidate.claimed_us) > 0


# --- order ------------------------------------------------------------------------------------------


def test_bursts_alternate_and_turn_round(kernels):
    candidate, reference, diary = kernels()
    timed(candidate, reference, max_samples=4)
    samples = diary[-16:]
    turns = [role for role, _ in samples[::2]]
    a, b = "candidate", "reference"
    assert turns == [a, b, b, a, a, b, b, a]
    assert [index for _, index in samples] == [0, 1] * 8


def test_every_burst_is_run_once_before_it_counts(kernels):
    candidate, reference, diary = kernels()
    found = timed(candidate, reference, max_samples=1)
    for role in ("candidate", "reference"):
        assert [index for who, index in diary if who == role][-4:] == [0, 1, 0, 1]
    assert len(found.candidate.measured_us) == len(found.reference.measured_us) == 1


def test_a_very_slow_kernel_is_run_seldom(kernels):
    candidate, _, diary = kernels(candidate_us=1e6)
    timed(candidate, None, max_samples=2)
    launches = sum(
        lengths[index]
        for lengths, index in zip(_lengths_at(candidate, diary), (index for _, index in diary), strict=True)
    )
    assert launches == 4, "one to find out, one to warm up, one for each sample"


def _lengths_at(kernel, diary):
    """The lengths that were prepared when each burst ran: three probes' worth, then the real ones."""
    probes, real = (lengths for _, lengths, _ in kernel.prepared)
    calibrating = len(diary) - 2 - 2 * 2
    return [probes] * calibrating + [real] * (len(diary) - calibrating)


# --- when it ends -----------------------------------------------------------------------------------


def test_at_most_as_many_samples_as_asked_for(kernels):
    found = timed(*kernels()[:2], max_samples=7)
    assert len(found.candidate.measured_us) == len(found.reference.measured_us) == 7
    assert found.stop == "7 samples"


def test_one_sample_is_enough_if_no_more_is_asked_for(kernels):
    assert timed(*kernels()[:2], max_samples=1).stop == "1 samples"


@pytest.mark.parametrize("alone", [False, True])
def test_quiet_measurements_end_at_the_first_check(kernels, alone):
    candidate, reference, _ = kernels()
    found = timed(candidate, None if alone else reference, max_samples=1000)
    assert len(found.candidate.measured_us) == FIRST_CHECK
    assert found.stop.startswith("noise 0.00% <=")


def test_noisy_measurements_go_on(kernels):
    candidate, reference, _ = kernels()
    noise = itertools.cycle([0.0, 4000.0, 100.0, 9000.0, 50.0, 700.0, 2500.0])
    plain = candidate.burst
    candidate.burst = lambda index: (plain(index)[0] + next(noise), 1.0)
    found = timed(candidate, reference, max_samples=FIRST_CHECK + CHECK_EVERY)
    assert len(found.candidate.measured_us) == FIRST_CHECK + CHECK_EVERY
    assert found.stop.endswith("samples")


def test_time_runs_out_after_two_samples_at_the_earliest(kernels):
    seconds = itertools.count(0, 100)
    found = timed(*kernels()[:2], max_samples=50, budget_s=1.5, clock=lambda: next(seconds))
    assert len(found.candidate.measured_us) == 2
    assert found.stop == "time budget of 1.5 s"


def test_time_runs_out_in_the_middle(kernels):
    seconds = itertools.count(0)
    found = timed(*kernels()[:2], max_samples=50, budget_s=5, clock=lambda: next(seconds))
    assert len(found.candidate.measured_us) == 5


# --- how it is done ---------------------------------------------------------------------------------


def test_both_are_captured_where_both_can_be(kernels):
    candidate, reference, _ = kernels()
    found = timed(candidate, reference, method="graph")
    assert (found.method, found.reason) == ("graph", None)
    assert {method for kernel in (candidate, reference) for _, _, method in kernel.prepared} == {"graph"}


@pytest.mark.parametrize("role", ["candidate", "reference"])
def test_both_fall_back_where_one_cannot_be_captured(kernels, role):
    candidate, reference, _ = kernels()
    {"candidate": candidate, "reference": reference}[role]._captures = False
    found = timed(candidate, reference, method="graph")
    assert (found.method, found.reason) == ("eager", f"the {role} cannot be captured: no capture here")
    for kernel in (candidate, reference):
        assert [method for _, _, method in kernel.prepared[-2:]] == ["eager"] * 2


def test_an_eager_loop_that_was_asked_for_needs_no_reason(kernels):
    found = timed(*kernels()[:2], method="eager")
    assert (found.method, found.reason) == ("eager", None)


def test_all_sets_are_used(kernels):
    candidate, _, _ = kernels()
    timed(candidate, None, sets=5)
    assert {sets for sets, _, _ in candidate.prepared} == {5}


def test_a_lost_runner_ends_it(kernels):
    lost = RunnerLost("candidate", "gone")
    candidate, reference, _ = kernels(troubles={("burst", 9): lost})
    with pytest.raises(RunnerLost):
        timed(candidate, reference)
