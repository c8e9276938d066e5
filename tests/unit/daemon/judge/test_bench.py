"""The bench: which sets are in use, which contents both kernels share, and that they are really equal."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.judge.bench import ONCE_MORE, PROBED_LAUNCHES, BurstPlan

OURS, THEIRS = BurstPlan(2, 5), BurstPlan(3, 9)
PLANS = st.builds(BurstPlan, st.integers(0, 6), st.integers(1, 9))


def double(x):
    return x * 2


@pytest.fixture(scope="module")
def contents():
    """What lies at each place of a kernel's only input."""
    return lambda kernel: [tuple(one.tolist()) for one in kernel.inputs.columns[0]]


@pytest.fixture
def bench_of(make_kernel, make_bench):
    def build(candidate=OURS, reference=THEIRS, *, alone=False, **options):
        kernels = [make_kernel("candidate", double)]
        kernels += [] if alone else [make_kernel("reference", double)]
        bench = make_bench(*kernels, **options)
        bench.plan(candidate, None if alone else reference)
        return bench

    return build


@given(PLANS)
def test_bursts_of_a_plan_share_no_set(plan):
    bursts = plan.bursts(warm=False)
    assert [len(sets) for sets in bursts] == [0, plan.short, plan.long, ONCE_MORE]
    assert list(itertools.chain(*bursts)) == list(range(plan.sets))


@given(PLANS)
def test_a_warm_plan_uses_one_set(plan):
    bursts = plan.bursts(warm=True)
    assert [len(sets) for sets in bursts] == [0, plan.short, plan.long, ONCE_MORE]
    assert set(itertools.chain(*bursts)) == {0}


@given(PLANS)
def test_the_launch_of_a_place_is_the_one_on_its_set(plan):
    bursts = plan.bursts(warm=False)
    for place in range(plan.sets - ONCE_MORE):
        burst, launch = plan.launch_of(place)
        assert bursts[burst][launch] == place


@pytest.mark.parametrize(
    ("candidate", "reference"),
    [
        (BurstPlan(2, 5), BurstPlan(3, 9)),
        (BurstPlan(3, 9), BurstPlan(2, 5)),
        (BurstPlan(2, 5), BurstPlan(2, 5)),
        (BurstPlan(0, 1), BurstPlan(0, 1)),
        (BurstPlan(0, 1), BurstPlan(4, 20)),
        (BurstPlan(0, 2), BurstPlan(0, 1)),
    ],
    ids=str,
)
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_shared_places_are_equal_and_timed_on_both_sides(bench_of, contents, candidate, reference, warm):
    for seed in range(8):
        bench = bench_of(candidate, reference, warm=warm, seed=seed)
        for _ in range(3):
            bench.refresh()
            places = bench.shared_places(4)
            assert places, "there is always something to compare"
            for ours, theirs in places:
                assert contents(bench.candidate)[ours] == contents(bench.reference)[theirs]
                assert ours < candidate.sets - ONCE_MORE
                assert theirs < reference.sets - ONCE_MORE
            launches = {candidate.launch_of(ours)[0] for ours, _ in places}
            launches_too = {reference.launch_of(theirs)[0] for _, theirs in places}
            assert len(launches) == len(launches_too) == 1, "of one burst on either side"
            assert len({ours for ours, _ in places}) == len(places) <= 4


@pytest.mark.parametrize(("ours", "theirs"), [(OURS, THEIRS), (THEIRS, OURS), (OURS, OURS)], ids=str)
def test_a_candidate_that_writes_its_sets_does_not_choose_the_inputs(bench_of, contents, ours, theirs):
    bench = bench_of(ours, theirs)
    bench.candidate.inputs.columns[0].fill_(7.0)
    before = set(contents(bench.reference))
    bench.plan(ours, theirs)
    assert set(contents(bench.reference)) == before
    used = contents(bench.candidate)[: ours.sets]
    assert set(used) <= before
    assert len(set(used)) == ours.sets, "none comes twice"


def test_only_sets_that_are_used_are_filled(make_kernel, make_bench, contents):
    bench = make_bench(make_kernel("candidate", double), make_kernel("reference", double))
    with pytest.raises(RuntimeError, match="planned"):
        bench.refresh()
    _require_filled(bench, contents, PROBED_LAUNCHES)
    bench.plan(OURS, THEIRS)
    _require_filled(bench, contents, THEIRS.sets)
    bench.plan(BurstPlan(4, 16), THEIRS)
    _require_filled(bench, contents, 4 + 16 + ONCE_MORE)
    bench.plan(OURS, OURS)
    _require_filled(bench, contents, 4 + 16 + ONCE_MORE)
    bench.fill()
    _require_filled(bench, contents, 4 + 16 + ONCE_MORE)


def _require_filled(bench, contents, count):
    nothing = (0.0, 0.0, 0.0, 0.0)
    assert len(set(contents(bench.reference)[:count])) == count
    for kernel in bench.kernels:
        found = contents(kernel)
        assert nothing not in found[:count]
        assert set(found[count:]) == {nothing}


def test_shared_places_are_another_choice_every_time(bench_of):
    bench = bench_of()
    assert len({tuple(bench.shared_places(2)) for _ in range(50)}) > 5


def test_refreshing_changes_every_set_in_use_of_either_kernel(bench_of, contents):
    bench = bench_of()
    before = contents(bench.candidate)[:8], contents(bench.reference)[:13]
    bench.refresh()
    after = contents(bench.candidate)[:8], contents(bench.reference)[:13]
    assert not set(before[0] + before[1]) & set(after[0] + after[1])


@pytest.mark.parametrize("first", ["candidate", "reference"])
def test_the_other_kernel_sees_new_contents_later(bench_of, contents, first):
    bench = bench_of()
    known = bench.candidate, bench.reference
    now, later = known if first == "candidate" else known[::-1]
    before = contents(now), contents(later)
    bench.refresh(now)
    assert contents(now) != before[0]
    assert contents(later) == before[1]
    bench.refresh_other()
    changed = contents(later)
    assert changed != before[1]
    bench.refresh_other()
    assert contents(later) == changed


def test_a_lone_candidate_is_refreshed_too(bench_of, contents):
    bench = bench_of(alone=True)
    before = contents(bench.candidate)[:8]
    bench.refresh()
    assert not set(before) & set(contents(bench.candidate)[:8])
    assert not bench.can_compare


def test_what_is_in_use(bench_of):
    bench = bench_of()
    assert bench.sets_in_use == 7
    assert bench.bytes_in_use == 7 * bench.candidate.inputs.stride
    assert bench_of(warm=True).sets_in_use == 1


def test_outputs_of_both_are_equal_for_equal_kernels(bench_of):
    bench = bench_of()
    for kernel, plan in ((bench.candidate, OURS), (bench.reference, THEIRS)):
        kernel.start_preparing(plan.bursts(warm=False), "eager", keep=True)
        kernel.prepared()
    bench.refresh()
    for kernel, burst in itertools.product(bench.kernels, (1, 2)):
        kernel.burst(burst, keep=True)
    for _ in range(10):
        places = bench.shared_places(3)
        expected, found = bench.outputs_at(places)
        assert torch.equal(expected[0], found[0])
        wanted = torch.stack([bench.candidate.inputs.columns[0][ours] for ours, _ in places]) * 2
        assert torch.equal(found[0], wanted)


def test_some_numbers(bench_of):
    bench = bench_of()
    assert bench.some_below(1, 2) == [0]
    assert len(set(bench.some_below(16, 2))) == 2
    assert {place for _ in range(200) for place in bench.some_below(4, 2)} == {0, 1, 2, 3}
