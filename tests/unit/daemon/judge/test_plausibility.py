"""Each rule against figures that break it, and honest ones just beside them."""

from dataclasses import replace

import pytest

from kbd.daemon.judge.audit import Suspicious
from kbd.daemon.judge.device_speed import DeviceSpeed
from kbd.daemon.judge.plausibility import (
    COPIES_FACTOR,
    EMPTIES_ALONE_US,
    FLOOR_SHARE,
    KEPT_FACTOR,
    KEPT_MARGIN_US,
    KEPT_TURN_MARGIN_US,
    KEPT_TURNS,
    MANY_KEPT_TURNS,
    NOISE_FACTOR,
    ONCE_FACTOR,
    ONCE_MARGIN_US,
    SINGLE_FACTOR,
    SINGLE_MARGIN_US,
    WHOLE_FACTOR,
    WHOLE_MARGIN_US,
    WHOLE_SAMPLES,
    WRITE_FACTOR,
    Floor,
    check_plausible,
)
from kbd.daemon.judge.series import Series, TimedKernels

SAMPLES = 20
METHODS = sorted(WHOLE_MARGIN_US)


def series(measured=10.0, whole=None, single=()):
    measured_us = measured if isinstance(measured, list) else [measured] * SAMPLES
    whole_us = (
        whole if isinstance(whole, list) else [measured_us[0] if whole is None else whole] * len(measured_us)
    )
    return Series(measured_us, list(measured_us), whole_us, list(single))


def timed(candidate, reference=None, method="graph"):
    return TimedKernels(method, None, candidate, reference, "n samples", input_sets=1)


def rule_broken(found, floor=None, *, on_device=True):
    try:
        check_plausible(found, floor, on_device=on_device)
    except Suspicious as error:
        return error.suspicion.rule
    return None


@pytest.mark.parametrize("method", METHODS)
def test_time_that_does_not_depend_on_the_launches(method):
    limit = WHOLE_FACTOR * 10 + WHOLE_MARGIN_US[method]
    assert rule_broken(timed(series(10, limit * 0.99), method=method)) is None
    assert rule_broken(timed(series(10, limit * 1.01), method=method)) == "time_outside_launches"


@pytest.mark.parametrize("method", METHODS)
def test_a_few_samples_prove_nothing(method):
    enough = WHOLE_SAMPLES[method]
    for count, rule in ((enough - 1, None), (enough, "time_outside_launches")):
        found = series([1.0] * count, [500.0] * count)
        assert rule_broken(timed(found, method=method), on_device=False) == rule


def test_noise_is_no_evidence():
    """Every other burst of a busy host loses its core: slopes around nothing, whole bursts far too long."""
    measured = [100.0, -900.0, 1100.0, 90.0, -950.0] * 4
    whole = [100.0, 2000.0, 2000.0, 101.0, 1900.0] * 4
    assert rule_broken(timed(series(measured, whole), method="eager"), on_device=False) is None


def test_a_bank_is_found_in_spite_of_some_noise():
    measured = [1.0] * 19 + [400.0]
    whole = [100.0] * 10 + [150.0] * 9 + [30.0]
    assert rule_broken(timed(series(measured, whole), method="eager")) == "time_outside_launches"


def test_launches_that_are_done_together():
    limit = SINGLE_FACTOR * 10 + SINGLE_MARGIN_US
    assert rule_broken(timed(series(10, single=[limit * 1.01, limit * 2]))) == "merged_launches"
    assert rule_broken(timed(series(10, single=[limit * 0.99, limit * 2]))) is None, "the least counts"
    assert rule_broken(timed(series(10, single=[limit * 2])), on_device=False) is None
    assert rule_broken(timed(series(10))) is None


# --- what is done once in most of the bursts ---------------------------------------------------------


LAUNCHES = 31
ONCE_AT_MOST = ONCE_FACTOR * 10 * LAUNCHES + ONCE_MARGIN_US


def spending(once_us):
    """Ten microseconds for every launch, and this in every short burst."""
    return replace(series(10), once_us=once_us, launches=LAUNCHES)


@pytest.mark.parametrize("method", METHODS)
def test_work_that_is_done_in_empty_bursts(method):
    def waiting(empties_us):
        return replace(series(10), empties_us=[empties_us] * SAMPLES, launches=LAUNCHES)

    noise_us = 40.0
    for reference, allowed_us in (
        (waiting(noise_us), NOISE_FACTOR * noise_us + ONCE_MARGIN_US),
        (None, EMPTIES_ALONE_US),
    ):
        most_us = ONCE_FACTOR * 10 * LAUNCHES + allowed_us
        for share, rule in ((0.99, None), (1.01, "time_outside_launches")):
            found = timed(waiting(most_us * share), reference, method=method)
            assert rule_broken(found, on_device=method == "graph") == rule


def test_a_host_that_is_busy_now_and_then_is_no_evidence_of_work_in_empty_bursts():
    empties = [30.0] * 12 + [20_000.0] * 8
    busy = replace(series(10), empties_us=empties, launches=LAUNCHES)
    assert rule_broken(timed(busy, replace(busy), method="eager"), on_device=False) is None
    assert rule_broken(timed(busy, method="eager"), on_device=False) is None


def spends_too_much(candidate, reference_us=0.0, *, on_device=False):
    reference = spending([reference_us] * SAMPLES)
    return rule_broken(timed(candidate, reference, method="eager"), on_device=on_device)


def test_time_that_only_short_bursts_take():
    for share, rule in ((0.99, None), (1.01, "time_outside_launches")):
        found = spending([ONCE_AT_MOST * share] * SAMPLES)
        assert spends_too_much(found) == rule
        assert spends_too_much(found, on_device=True) is None, "on a device bursts are graphs"
        assert rule_broken(timed(found, method="eager"), on_device=False) is None, "there is nothing to gain"


def test_most_of_the_samples_have_to_show_it():
    """The speed-up is a median: less than half of them cannot move it."""
    for bad, rule in ((9, None), (12, "time_outside_launches")):
        assert spends_too_much(spending([0.0] * (SAMPLES - bad) + [10 * ONCE_AT_MOST] * bad)) == rule


def test_a_host_that_does_so_to_the_reference_proves_nothing():
    found = spending([ONCE_AT_MOST * 4] * SAMPLES)
    assert spends_too_much(found) == "time_outside_launches"
    assert spends_too_much(found, reference_us=ONCE_AT_MOST * 3 / NOISE_FACTOR) is None


def test_of_a_few_samples_nothing_is_said():
    assert spends_too_much(spending([10 * ONCE_AT_MOST] * (WHOLE_SAMPLES["eager"] - 1))) is None


# --- who is told that it will be looked at -------------------------------------------------------------


def margin_us(method="eager"):
    return KEPT_MARGIN_US[method] + KEPT_TURN_MARGIN_US[method] / LAUNCHES


def kept(usual, kept_us):
    """Figures are for each launch of a turn."""
    turns_us = [usual * LAUNCHES] * SAMPLES
    return replace(
        series(usual), turns_us=turns_us, kept_us=[one * LAUNCHES for one in kept_us], launches=LAUNCHES
    )


def slower(candidate, reference, *, method="eager", on_device=False, floor=None):
    return rule_broken(timed(candidate, reference, method=method), floor, on_device=on_device)


@pytest.mark.parametrize("copies", [0.0, 40.0])
@pytest.mark.parametrize(("method", "on_device"), [("eager", False), ("eager", True), ("graph", True)])
def test_work_that_is_done_only_when_it_is_seen(method, on_device, copies):
    reference = kept(100.0, [100.0 + copies] * KEPT_TURNS)
    limit = KEPT_FACTOR * 10 + COPIES_FACTOR[False] * copies + margin_us(method)
    where = {"method": method, "on_device": on_device}
    assert slower(kept(10.0, [limit * 0.99] * KEPT_TURNS), reference, **where) is None
    assert slower(kept(10.0, [limit * 1.01] * KEPT_TURNS), reference, **where) == "slower_when_audited"
    assert slower(kept(10.0, [limit * 1.01] * KEPT_TURNS), None, **where) is None


def test_a_reference_that_copies_nothing_does_not_say_what_copies_cost():
    reference, floor = kept(100.0, [100.0] * KEPT_TURNS), Floor(launch_us=2.0, write_us=50.0)
    limit = KEPT_FACTOR * 210 + COPIES_FACTOR[False] * floor.copy_us + margin_us("graph")
    where = {"method": "graph", "on_device": True, "floor": floor}
    assert slower(kept(210.0, [limit * 0.99] * KEPT_TURNS), reference, **where) is None
    assert slower(kept(210.0, [limit * 1.01] * KEPT_TURNS), reference, **where) == "slower_when_audited"


def test_a_candidate_that_was_not_told_has_nothing_to_explain():
    assert slower(kept(10.0, []), kept(100.0, [9000.0] * KEPT_TURNS)) is None


def test_outputs_with_gaps_are_dear_to_copy():
    reference = kept(100.0, [140.0] * KEPT_TURNS)
    candidate = kept(10.0, [(10 + COPIES_FACTOR[True] * 40) * 0.99] * KEPT_TURNS)
    assert slower(candidate, reference) == "slower_when_audited"
    assert slower(replace(candidate, scattered=True), reference) is None


def test_one_quick_burst_that_was_looked_at_is_enough():
    reference = kept(100.0, [100.0] * KEPT_TURNS)
    assert slower(kept(10.0, [11.0] + [9000.0] * KEPT_TURNS), reference) is None


def test_a_few_turns_may_all_have_been_disturbed():
    reference = kept(100.0, [100.0] * KEPT_TURNS)
    assert slower(kept(10.0, [9000.0] * (KEPT_TURNS - 1)), reference) is None


@pytest.mark.parametrize("which", ["turns_us", "kept_us"])
def test_a_host_that_disturbs_the_reference_proves_nothing(which):
    candidate, reference = kept(10.0, [200.0] * KEPT_TURNS), kept(100.0, [100.0] * KEPT_TURNS)
    assert slower(candidate, reference) == "slower_when_audited"
    getattr(reference, which)[:3] = [400.0 * LAUNCHES] * 3
    assert slower(candidate, reference) is None


def test_of_many_turns_one_that_was_disturbed_hides_nothing():
    reference = kept(100.0, [100.0] * (MANY_KEPT_TURNS - 1) + [9000.0])
    assert slower(kept(10.0, [200.0] * MANY_KEPT_TURNS), reference) == "slower_when_audited"


def test_working_in_a_few_of_the_bursts_that_nobody_sees_hides_nothing():
    candidate = kept(10.0, [100.0] * KEPT_TURNS)
    candidate.turns_us[:9] = [100.0 * LAUNCHES] * 9
    assert slower(candidate, kept(100.0, [100.0] * KEPT_TURNS)) == "slower_when_audited"


SPEED = DeviceSpeed(bytes_per_us=1000.0, launch_us=2.0)


def test_the_floor_is_an_empty_launch_or_the_outputs_written():
    assert Floor.of(SPEED, 0).least_us == FLOOR_SHARE * 2.0
    assert Floor.of(SPEED, 1_000_000).least_us == 1000.0 / WRITE_FACTOR


@pytest.mark.parametrize("output_bytes", [0, 1_000_000])
def test_faster_than_the_device(output_bytes):
    floor = Floor.of(SPEED, output_bytes)
    below, above = series(floor.least_us * 0.99), series(floor.least_us * 1.01)
    assert rule_broken(timed(below, above), floor) == "below_floor"
    assert rule_broken(timed(below), floor) == "below_floor"
    assert rule_broken(timed(above, above), floor) is None
    assert rule_broken(timed(below, below), floor) is None, "there is nothing to compute"
    assert rule_broken(timed(below, above), None) is None
    assert rule_broken(timed(below, above, method="eager"), floor) is None
