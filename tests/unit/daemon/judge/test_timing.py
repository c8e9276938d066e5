"""Timing on a clock of the test's own: lengths, order, stop rules, fall back."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.judge.audit import Auditor
from kbd.daemon.judge.bench import ONCE_MORE
from kbd.daemon.judge.readiness import (
    LONG_US,
    SHORT_US,
    SHORTEST_LAUNCH_US,
    WIDE_LAUNCH_US,
    burst_plan,
    get_ready,
)
from kbd.daemon.judge.runner_link import RunnerForged, RunnerLost
from kbd.daemon.judge.timing import CHECK_EVERY, FIRST_CHECK, SINGLE_LAUNCHES, Way, time_kernels

LAUNCHES = st.floats(SHORTEST_LAUNCH_US, 1e8)
SETS = st.integers(3, 512)
EMPTY, SHORT, LONG, SINGLE = range(4)


def double(x):
    return x * 2


class NoAudit:
    """An auditor who never looks."""

    owes = False

    def is_due(self, turn):
        return False


class OddTurns:
    """An auditor who looks at every other turn."""

    owes = False
    checks = 0

    def is_due(self, turn):
        return turn % 2 == 1

    def choose(self):
        pass

    def glance(self):
        pass

    def check(self):
        self.checks += 1


@pytest.fixture
def kernels(make_kernel):
    """Candidate and reference that write every burst into one common diary."""

    def build(candidate_us=50.0, reference_us=100.0, **options):
        diary = []
        pair = []
        for role, launch_us in (("candidate", candidate_us), ("reference", reference_us)):
            kernel = make_kernel(role, double, launch_us=launch_us, **options)
            kernel.on_burst = _noted(kernel, diary)
            pair.append(kernel)
        return *pair, diary

    return build


def _noted(kernel, diary):
    def burst(question, plain=kernel.on_burst):
        diary.append((kernel.role, question.index))
        return plain(question)

    return burst


@pytest.fixture
def timed(make_bench):
    """Prepare and time; options are those of the bench, or of the way."""

    def run(
        candidate,
        reference=None,
        *,
        method="eager",
        max_samples=10,
        budget_s=1e9,
        auditor=None,
        clock=None,
        **bench,
    ):
        bench = make_bench(candidate, reference, **bench)
        ready = get_ready(bench, method)
        auditor = auditor or NoAudit()
        way = Way(ready.method, max_samples, budget_s)
        return time_kernels(bench, ready, way, auditor, clock or (lambda: 0.0))

    return run


# --- lengths ----------------------------------------------------------------------------------------


@given(LAUNCHES, SETS)
def test_every_launch_of_a_turn_has_a_set_of_its_own(launch_us, sets):
    plan = burst_plan(launch_us, sets)
    assert 0 <= plan.short < plan.long
    assert plan.sets == plan.short + plan.long + ONCE_MORE <= sets


@given(LAUNCHES, SETS)
def test_a_long_burst_is_long_enough_or_uses_all_sets_and_a_slow_kernel_runs_once(launch_us, sets):
    plan = burst_plan(launch_us, sets)
    assert plan.short * launch_us <= SHORT_US
    if launch_us >= WIDE_LAUNCH_US:
        assert (plan.short, plan.long) == (0, 1)
    elif plan.sets < sets:
        assert plan.long * launch_us >= LONG_US
        assert (plan.long - 1) * launch_us < LONG_US or plan.long == plan.short + 2


@given(LAUNCHES, LAUNCHES, SETS)
def test_a_slower_kernel_never_gets_longer_bursts(one, other, sets):
    fast, slow = (burst_plan(launch_us, sets) for launch_us in sorted((one, other)))
    assert slow.long <= fast.long or slow.sets <= fast.sets
    assert slow.short <= fast.short


def test_with_memory_for_two_sets_a_launch_is_timed_against_none():
    assert (burst_plan(1.0, 2).short, burst_plan(1.0, 2).long) == (0, 1)


def test_bursts_that_were_chosen_while_others_disturbed_are_made_longer(kernels, make_bench):
    candidate, reference, _ = kernels(candidate_us=5_000.0)
    bench = make_bench(candidate, reference)
    ready = get_ready(bench, "eager")
    assert ready.timers[0].plan.long <= 3
    candidate.launch_us = 50.0
    found = time_kernels(bench, ready, Way("eager", 3, 1e9), NoAudit(), lambda: 0.0)
    assert found.candidate.measured_us == pytest.approx([50.0] * 3)
    assert len([sets for _, sets in candidate.bursts if len(sets) >= LONG_US / 50.0]) >= 4


# --- what is found ----------------------------------------------------------------------------------


@pytest.mark.parametrize("launch_us", [0.2, 1.0, 33.3, 9_999.0, 10_000.0, 5e6])
@pytest.mark.parametrize("overhead_us", [0.0, 7.5, 1000.0])
@pytest.mark.parametrize("sets", [3, 32])
def test_the_time_of_a_launch_is_found_whatever_a_burst_costs(
    make_kernel, timed, launch_us, overhead_us, sets
):
    candidate = make_kernel("candidate", double, launch_us=launch_us, overhead_us=overhead_us)
    found = timed(candidate, max_samples=3, sets=sets)
    assert found.candidate.measured_us == pytest.approx([launch_us] * 3, rel=1e-3)
    assert found.candidate.claimed_us == pytest.approx([launch_us / 2] * 3, rel=1e-3)
    assert found.candidate.whole_us == pytest.approx([launch_us] * 3, rel=1e-3)
    assert found.candidate.single_us == pytest.approx([launch_us] * 3, rel=1e-3)
    assert found.reference is None


def test_work_that_is_done_once_a_burst_is_in_the_whole_and_not_in_the_slope(kernels, timed):
    candidate, _, _ = kernels(candidate_us=5.0)
    plain = candidate.on_burst

    def burst(question):
        done = plain(question)
        once = 100.0 if candidate.bursts[-1][1] else 0.0
        return done.model_copy(update={"claimed_us": done.claimed_us + once / 2})

    candidate.on_burst = burst
    found = timed(candidate, max_samples=3)
    assert found.candidate.measured_us == pytest.approx([5.0] * 3)
    assert min(found.candidate.whole_us) > 10
    assert found.candidate.single_us == pytest.approx([105.0] * 3)


def test_a_slope_that_noise_made_negative_is_left_as_it_is(kernels, timed):
    candidate, _, _ = kernels(noise=itertools.count(1e6, -1000))
    found = timed(candidate)
    assert max(found.candidate.measured_us) < 0
    assert min(found.candidate.claimed_us + found.candidate.whole_us + found.candidate.single_us) > 0


def test_long_empty_bursts_do_not_make_a_slow_kernel_quick(kernels, timed):
    """Without a short burst an empty one is taken off: of a candidate no more than the reference's."""
    candidate, reference, _ = kernels(candidate_us=20_000.0, reference_us=20_000.0)
    plain = candidate.on_burst

    def burst(question):
        done = plain(question)
        padded = 0.0 if candidate.bursts[-1][1] else 9_000.0
        return done.model_copy(update={"claimed_us": done.claimed_us + padded})

    candidate.on_burst = burst
    found = timed(candidate, reference, max_samples=3)
    assert found.candidate.measured_us[1:] == pytest.approx([20_000.0] * 2)
    assert found.reference.measured_us == pytest.approx([20_000.0] * 3)


def test_what_short_bursts_take_besides_is_known(kernels, timed):
    candidate, reference, _ = kernels(candidate_us=10.0)
    plain = candidate.on_burst

    def burst(question):
        done = plain(question)
        padded = 100.0 if question.index in (EMPTY, SHORT) else 0.0
        return done.model_copy(update={"claimed_us": done.claimed_us + padded / 2})

    candidate.on_burst = burst
    found = timed(candidate, reference, max_samples=4)
    launch = found.candidate.measured_us[-1]
    short, long = (len(sets) for sets in candidate.prepared[-1][0][1:3])
    assert launch == pytest.approx(10 - 100 / (long - short))
    assert found.candidate.once_us[-1] == pytest.approx(10 * short + 100 - launch * short)
    assert found.reference.once_us == pytest.approx([0] * 4, abs=1e-6)


# --- order ------------------------------------------------------------------------------------------


def test_turns_alternate_and_turn_round(kernels, timed):
    candidate, reference, diary = kernels()
    timed(candidate, reference, max_samples=4)
    per_turn = 4  # empty, short, long, single
    turns = diary[-4 * 2 * per_turn :]
    a, b = "candidate", "reference"
    assert [role for role, _ in turns[::per_turn]] == [a, b, b, a, a, b, b, a]
    assert [index for _, index in turns] == [EMPTY, SHORT, LONG, SINGLE] * 8


def test_every_burst_is_run_once_before_it_counts(kernels, timed):
    candidate, reference, diary = kernels()
    timed(candidate, reference, max_samples=1)
    for role in ("candidate", "reference"):
        assert [index for who, index in diary if who == role][-8:] == [EMPTY, SHORT, LONG, SINGLE] * 2


def test_only_the_first_turns_have_a_single_launch(kernels, timed):
    candidate, _, diary = kernels()
    found = timed(candidate, max_samples=SINGLE_LAUNCHES + 5)
    assert len(found.candidate.single_us) == SINGLE_LAUNCHES
    assert [index for _, index in diary[-9:]] == [EMPTY, SHORT, LONG] * 3


def test_a_very_slow_kernel_is_run_seldom(kernels, timed):
    candidate, _, _ = kernels(candidate_us=1e6)
    timed(candidate, max_samples=2)
    launches = [sets for _, sets in candidate.bursts if sets]
    assert [len(sets) for sets in launches] == [1] * len(launches)
    assert len(launches) == 1 + 2 + 2 * 2, (
        "to find out; long and single: before it counts, and twice for samples"
    )


@pytest.mark.parametrize(("warm", "different"), [(False, True), (True, False)])
def test_a_turn_launches_on_every_set_once_unless_the_cache_is_to_be_warm(kernels, timed, warm, different):
    candidate, _, _ = kernels()
    timed(candidate, max_samples=1, warm=warm)
    places = [place for _, sets in candidate.bursts[-4:] for place in sets]
    assert (len(set(places)) == len(places)) is different
    if warm:
        assert set(places) == {0}


# --- when it ends -----------------------------------------------------------------------------------


def test_at_most_as_many_samples_as_asked_for(kernels, timed):
    found = timed(*kernels()[:2], max_samples=7)
    assert len(found.candidate.measured_us) == len(found.reference.measured_us) == 7
    assert found.stop == "7 samples"


def test_one_sample_is_enough_if_no_more_is_asked_for(kernels, timed):
    assert timed(*kernels()[:2], max_samples=1).stop == "1 samples"


@pytest.mark.parametrize("alone", [False, True])
def test_quiet_measurements_end_at_the_first_check(kernels, timed, alone):
    candidate, reference, _ = kernels()
    found = timed(candidate, None if alone else reference, max_samples=1000)
    assert len(found.candidate.measured_us) == FIRST_CHECK
    assert found.stop.startswith("noise 0.00% <=")


@pytest.mark.parametrize("spread_us", [300.0, 1e6], ids=["noisy", "nothing but noise"])
def test_noisy_measurements_go_on(kernels, timed, spread_us):
    noise = random.Random(1)
    candidate, reference, _ = kernels(noise=iter(lambda: noise.uniform(0, spread_us), None))
    found = timed(candidate, reference, max_samples=FIRST_CHECK + CHECK_EVERY)
    assert len(found.candidate.measured_us) == FIRST_CHECK + CHECK_EVERY
    assert found.stop.endswith("samples")


def test_time_runs_out_after_two_samples_at_the_earliest(kernels, timed):
    seconds = itertools.count(0, 100)
    found = timed(*kernels()[:2], max_samples=50, budget_s=1.5, clock=lambda: next(seconds))
    assert len(found.candidate.measured_us) == 2
    assert found.stop == "time budget of 1.5 s"


def test_time_runs_out_in_the_middle(kernels, timed):
    seconds = itertools.count(0)
    found = timed(*kernels()[:2], max_samples=50, budget_s=5, clock=lambda: next(seconds))
    assert len(found.candidate.measured_us) == 5


def test_where_keeping_costs_an_audited_turn_is_no_sample(kernels, timed):
    candidate, reference, _ = kernels()
    auditor = OddTurns()
    found = timed(candidate, reference, max_samples=4, auditor=auditor)
    assert len(found.candidate.measured_us) == len(found.reference.measured_us) == 4
    assert auditor.checks == 3
    assert candidate.kept.count(True) == reference.kept.count(True) == 3 * 2, "short and long"
    assert len(found.candidate.kept_us) == len(found.reference.kept_us) == 3


def test_the_candidate_is_looked_at_at_once_where_it_was_told(kernels, timed):
    candidate, reference, diary = kernels()
    looked_at = []
    auditor = OddTurns()
    auditor.check = lambda: looked_at.append(diary[-1][0])
    timed(candidate, reference, max_samples=4, auditor=auditor)
    assert looked_at == ["candidate"] * 3


# --- how it is done ---------------------------------------------------------------------------------


def test_both_are_captured_where_both_can_be(kernels, timed):
    candidate, reference, _ = kernels()
    found = timed(candidate, reference, method="graph")
    assert (found.method, found.reason) == ("graph", None)
    assert {method for kernel in (candidate, reference) for _, method in kernel.prepared} == {"graph"}


@pytest.mark.parametrize("role", ["candidate", "reference"])
def test_both_fall_back_where_one_cannot_be_captured(kernels, timed, role):
    candidate, reference, _ = kernels()
    {"candidate": candidate, "reference": reference}[role]._captures = False
    found = timed(candidate, reference, method="graph")
    assert (found.method, found.reason) == ("eager", f"the {role} cannot be captured: no capture here")
    for kernel in (candidate, reference):
        assert [method for _, method in kernel.prepared[-2:]] == ["eager"] * 2


@pytest.mark.parametrize("longest", [1, 8])
def test_all_bursts_that_count_are_of_the_method_that_is_reported(kernels, timed, longest):
    """A kernel may be capturable in short bursts, and not in those that calibration asks for."""
    candidate, reference, _ = kernels()
    plain = candidate.on_prepare

    def prepare(question):
        prepared = plain(question)
        if max(map(len, question.bursts)) <= longest:
            return prepared
        return prepared.model_copy(update={"method": "eager", "reason": "out of memory"})

    candidate.on_prepare = prepare
    found = timed(candidate, reference, method="graph", max_samples=2)
    assert (found.method, reference.prepared[-1][1]) == ("eager", "eager")
    assert "out of memory" in found.reason


def test_an_eager_loop_that_was_asked_for_needs_no_reason(kernels, timed):
    found = timed(*kernels()[:2], method="eager")
    assert (found.method, found.reason) == ("eager", None)


def test_a_runner_that_captured_what_was_to_be_a_loop_has_not_answered(kernels, timed):
    candidate, reference, _ = kernels()
    plain = candidate.on_prepare
    candidate.on_prepare = lambda question: plain(question).model_copy(update={"method": "graph"})
    with pytest.raises(RunnerForged):
        timed(candidate, reference)


def test_a_lost_runner_ends_it(kernels, timed):
    lost = RunnerLost("candidate", "gone")
    candidate, reference, _ = kernels(troubles={("burst", 9): lost})
    with pytest.raises(RunnerLost):
        timed(candidate, reference)


# --- an honest pair is audited and passes -----------------------------------------------------------


def test_an_audit_goes_along(kernels, make_bench):
    candidate, reference, _ = kernels()
    bench = make_bench(candidate, reference)
    ready = get_ready(bench, "eager")
    auditor = Auditor(bench, (), 20)
    found = time_kernels(bench, ready, Way("eager", 20, 1e9), auditor, lambda: 0.0)
    report = auditor.report()
    assert len(found.candidate.measured_us) == 20
    assert report.compared >= 2
    assert report.bursts == 20 + report.compared
    assert report.failed == 0


@pytest.mark.parametrize("lacked", [True, False])
def test_for_lack_of_memory_is_told_apart_from_other_reasons(kernels, make_bench, lacked):
    candidate, reference, _ = kernels()
    candidate._captures, candidate.lacks_memory = False, lacked
    ready = get_ready(make_bench(candidate, reference), "graph")
    assert (ready.method, ready.lacked_memory) == ("eager", lacked)
