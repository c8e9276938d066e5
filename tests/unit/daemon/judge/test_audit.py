"""The secret audit: a kernel that computes while it is judged and not while it is timed is found."""

import contextlib
import itertools

import pytest
import torch

from kbd.daemon.judge.audit import FEW_TURNS, FEWEST, STEPS, Auditor, Suspicious
from kbd.daemon.judge.bench import BurstPlan
from kbd.daemon.judge.expected import Yardstick
from kbd.daemon.judge.freshening import Origin
from kbd.daemon.judge.readiness import get_ready, prepared
from kbd.daemon.judge.runner_link import RunnerForged
from kbd.daemon.judge.timing import Way, time_kernels
from kbd.daemon.judge.tolerance import AppliedTolerance
from kbd.inbox.bound_contract import BoundTensor
from kbd.inbox.dtypes import DType
from tests.unit.daemon.judge.exposed_memory import ExposedMemory

YARDSTICK = Yardstick("out", AppliedTolerance(1e-6, 1e-6), 1.0)


def double(x):
    return x * 2


def doubled_in_place(x):
    x.mul_(2)


def answers_from_a_cache(after):
    """Honest for so many calls, then what it once computed for that address."""
    known, calls = {}, []

    def timed(x):
        calls.append(None)
        if len(calls) <= after or x.data_ptr() not in known:
            known[x.data_ptr()] = x * 2
        return known[x.data_ptr()]

    return timed


@pytest.fixture
def audited(make_kernel, make_bench):
    """Time a candidate that does `timed`, and audit it; returns the auditor's report."""

    def run(timed=double, compute=double, *, samples=40, yardsticks=(YARDSTICK,), troubles=None, **options):
        bench = make_bench(
            make_kernel("candidate", double, timed=timed),
            make_kernel("reference", compute, troubles=troubles),
            **options,
        )
        auditor = Auditor(bench, yardsticks, samples)
        ready = get_ready(bench, "eager")
        time_kernels(bench, ready, Way("eager", samples, 1e9), auditor, lambda: 0.0)
        return auditor.report()

    return run


def test_an_honest_kernel_passes(audited):
    report = audited(lambda x: x + x)
    assert report.compared >= FEWEST
    assert report.failed == 0


@pytest.mark.parametrize("after", [0, 20])
def test_a_cache_by_address_is_found(audited, after):
    with pytest.raises(Suspicious) as found:
        audited(answers_from_a_cache(after))
    assert found.value.suspicion.rule == "timed_output_wrong"
    assert "worst: expected" in found.value.suspicion.evidence


@pytest.mark.parametrize(
    "timed",
    [
        lambda x: None,
        lambda x: torch.empty(0),
        lambda x: (x * 2, x),
        lambda x: (x * 2)[:1],
        lambda x: (x * 2).double(),
        lambda x: torch.full_like(x, float("nan")),
    ],
    ids=["nothing", "an empty one", "one too many", "too short", "another dtype", "NaN"],
)
def test_another_answer_than_when_it_was_judged_is_found(audited, timed):
    with pytest.raises(Suspicious) as found:
        audited(timed)
    assert found.value.suspicion.rule == "timed_output_wrong"


def test_two_kernels_may_each_be_off_by_the_tolerance(audited):
    yardstick = Yardstick("out", AppliedTolerance(0.1, 0.0), 1.0)
    assert audited(lambda x: x * 2 + 0.15, yardsticks=(yardstick,)).failed == 0
    with pytest.raises(Suspicious):
        audited(lambda x: x * 2 + 0.25, yardsticks=(yardstick,))


def test_a_matched_ratio_that_was_asked_for_is_enough(audited):
    yardstick = Yardstick("out", AppliedTolerance(1e-6, 0.0), 0.7)

    def one_of_four_wrong(x):
        made = x * 2
        made[0] += 1
        return made

    assert audited(one_of_four_wrong, yardsticks=(yardstick,)).failed == 0


# --- kernels that write their arguments --------------------------------------------------------------

WRITTEN = {
    "origins": [Origin([torch.zeros(4)], BoundTensor(shape=(4,), dtype=DType.FLOAT32), changes=True)],
    "written": (0,),
}


def test_what_was_written_in_place_is_compared(audited):
    assert audited(doubled_in_place, doubled_in_place, **WRITTEN).compared >= FEWEST
    with pytest.raises(Suspicious):
        audited(lambda x: None, doubled_in_place, **WRITTEN)


def test_a_candidate_may_write_what_the_reference_returns(audited):
    assert audited(doubled_in_place, double, **WRITTEN).compared >= FEWEST
    with pytest.raises(Suspicious):
        audited(lambda x: None, double, **WRITTEN)


def test_a_candidate_that_also_returns_is_judged_by_what_it_wrote(audited):
    def lies(x):
        return x * 2

    with pytest.raises(Suspicious):
        audited(lies, doubled_in_place, **WRITTEN)


def test_views_of_the_inputs_are_as_good_as_copies(audited):
    assert audited(lambda x: x[1:], lambda x: x[1:].clone()).compared >= FEWEST


@pytest.mark.parametrize(
    ("ours", "theirs", "options", "found"),
    [
        (True, False, {}, True),
        (True, True, {}, False),
        (False, True, {}, False),
        (True, False, "written", False),
    ],
)
def test_views_are_found_where_only_copies_were_judged(make_kernel, make_bench, ours, theirs, options, found):
    candidate, reference = make_kernel("candidate", double), make_kernel("reference", double)
    candidate.views, reference.views = ours, theirs
    bench = make_bench(candidate, reference, **(WRITTEN if options else {}))
    auditor, ready = Auditor(bench, (YARDSTICK,), 20), get_ready(bench, "eager")
    with pytest.raises(Suspicious, match="memory of its input") if found else contextlib.nullcontext():
        time_kernels(bench, ready, Way("eager", 20, 1e9), auditor, lambda: 0.0)


def test_launches_that_build_on_each_other_cannot_be_compared(audited):
    report = audited(doubled_in_place, doubled_in_place, warm=True, **WRITTEN)
    assert report.compared == 0


# --- memory of the runner's that the judge reads by itself ---------------------------------------------


def on_device(kernel):
    """One whose captured launches leave their outputs where they are."""
    kernel.device_kind = "cuda"
    return kernel


def exposing(kernel, **how):
    """One on a device whose runner tells where captured launches leave what they return."""
    kernel.exposed = kernel.borrower = ExposedMemory(torch.zeros(4), **how)
    return on_device(kernel)


def timed_in_graphs(make_bench, *kernels, **options):
    bench = make_bench(*kernels, **options)
    auditor = Auditor(bench, (YARDSTICK,), 20)
    time_kernels(bench, get_ready(bench, "graph"), Way("graph", 20, 1e9), auditor, lambda: 0.0)
    return auditor.report()


def test_nobody_is_told_of_what_can_be_read(make_kernel, make_bench):
    kernels = [exposing(make_kernel(role, double)) for role in ("candidate", "reference")]
    assert timed_in_graphs(make_bench, *kernels).compared >= FEWEST
    assert not any(kernels[0].kept + kernels[1].kept)


@pytest.mark.parametrize("who", [("candidate",), ("reference",), ("candidate", "reference")])
@pytest.mark.parametrize("honest", [True, False])
def test_memory_that_is_used_again_is_copied_before_the_next_launch(make_kernel, make_bench, who, honest):
    candidate = make_kernel("candidate", double, timed=double if honest else lambda x: x * 3)
    kernels = candidate, make_kernel("reference", double, launch_us=20.0)
    for kernel in kernels:
        exposing(kernel, reuse=kernel.role in who)
    with contextlib.nullcontext() if honest else pytest.raises(Suspicious):
        assert timed_in_graphs(make_bench, *kernels).compared >= FEWEST
    assert any(candidate.kept) is ("candidate" in who)
    assert any(kernels[1].kept), "so that it is known what keeping costs"


@pytest.mark.parametrize(("reuse", "warm"), [(True, False), (False, True)])
def test_a_kernel_that_computes_its_last_launch_alone_is_found(make_kernel, make_bench, reuse, warm):
    """As a rewritten loop could, where all launches are said to return the same memory, or are on the same set."""
    candidate = exposing(make_kernel("candidate", double), reuse=reuse)
    answers = candidate.on_burst

    def burst(question):
        left = [None] * len(candidate.prepared[-1][0][question.index])
        candidate.timed = lambda x: left.pop() or x * (3 if left else 2)
        return answers(question)

    candidate.on_burst = burst
    reference = exposing(make_kernel("reference", double))
    with pytest.raises(Suspicious, match="wrong in a launch that was timed"):
        timed_in_graphs(make_bench, candidate, reference, warm=warm)


def test_what_is_read_is_compared(make_kernel, make_bench):
    candidate = exposing(make_kernel("candidate", double, timed=lambda x: x * 3))
    with pytest.raises(Suspicious) as found:
        timed_in_graphs(make_bench, candidate, exposing(make_kernel("reference", double)))
    assert found.value.suspicion.rule == "timed_output_wrong"


def test_outputs_that_come_after_it_was_done_are_found(make_kernel, make_bench):
    candidate = exposing(make_kernel("candidate", double), late=True)

    def finish_and_double(x):
        candidate.exposed.finish()
        return x * 2

    reference = exposing(make_kernel("reference", double, timed=finish_and_double))
    with pytest.raises(Suspicious) as found:
        timed_in_graphs(make_bench, candidate, reference)
    assert found.value.suspicion.rule in {"unfinished_when_done", "timed_output_wrong"}


def test_what_cannot_be_borrowed_is_kept(make_kernel, make_bench):
    candidate = exposing(make_kernel("candidate", double))
    candidate.exposed.borrow = lambda handles: None
    assert (
        timed_in_graphs(make_bench, candidate, exposing(make_kernel("reference", double))).compared >= FEWEST
    )
    assert any(candidate.kept)


def test_a_runner_that_names_places_outside_of_its_memory_is_found_out(make_kernel, make_bench):
    candidate = exposing(make_kernel("candidate", double))
    candidate.exposed.borrow = lambda handles: [torch.zeros(8, dtype=torch.uint8)]
    with pytest.raises(RunnerForged, match="would lie"):
        timed_in_graphs(make_bench, candidate, exposing(make_kernel("reference", double)))


NEVER_ALIKE = {"origins": [Origin([torch.zeros(400)], BoundTensor(shape=(400,), dtype=DType.FLOAT32))]}

# --- what cannot be compared --------------------------------------------------------------------------


def test_kernels_that_return_no_tensor_are_not_said_to_be_compared(audited):
    assert audited(lambda x: 3.0, lambda x: 3.0).compared == 0


def test_outputs_without_elements_are_equal(audited):
    assert audited(lambda x: x[:0], lambda x: x[:0]).failed == 0


def test_a_reference_whose_outputs_depend_on_the_inputs_ends_the_audit(audited, make_kernel, make_bench):
    def positive(x):
        return x[x > 0]

    assert audited(positive, positive, **NEVER_ALIKE).compared == 0


def test_nor_is_anything_compared_on_a_device_then(make_kernel, make_bench):
    def positive(x):
        return x[x > 0]

    kernels = [on_device(make_kernel(role, positive)) for role in ("candidate", "reference")]
    bench = make_bench(*kernels, **NEVER_ALIKE)
    auditor = Auditor(bench, (YARDSTICK,), 20)
    time_kernels(bench, get_ready(bench, "eager"), Way("eager", 20, 1e9), auditor, lambda: 0.0)
    assert auditor.report().compared == 0


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        (doubled_in_place, {"warm": True, **WRITTEN}),
        (lambda x: 3.0, {}),
        (lambda x: x[x > 0], NEVER_ALIKE),
    ],
    ids=["launches build on each other", "no tensor", "other shapes"],
)
def test_what_can_never_be_compared_is_not_waited_for(make_kernel, make_bench, kernel, options):
    bench = make_bench(make_kernel("candidate", kernel), make_kernel("reference", kernel), **options)
    auditor = Auditor(bench, (YARDSTICK,), 40)
    clock = itertools.count().__next__
    timed = time_kernels(bench, get_ready(bench, "eager"), Way("eager", 40, 0.5), auditor, clock)
    assert len(timed.candidate.measured_us) <= 6
    assert (auditor.owes, auditor.report().compared) == (False, 0)


def test_the_time_budget_does_not_end_before_a_turn_was_compared(make_kernel, make_bench):
    for _ in range(8):
        bench = make_bench(make_kernel("candidate", double), make_kernel("reference", double))
        auditor = Auditor(bench, (YARDSTICK,), 40)
        assert auditor.owes
        ready = get_ready(bench, "eager")
        time_kernels(bench, ready, Way("eager", 40, 0.5), auditor, itertools.count().__next__)
        assert auditor.report().compared == 1
        assert not auditor.owes


def test_a_lone_candidate_has_no_report(make_kernel, make_bench):
    bench = make_bench(make_kernel("candidate", double))
    auditor = Auditor(bench, (), 5)
    assert not any(auditor.is_due(turn) for turn in range(20))
    assert auditor.report() is None


# --- how often ----------------------------------------------------------------------------------------


@pytest.fixture
def turns_due(make_kernel, make_bench):
    """Which of the first so many turns of a job with so many samples are audited."""

    def find(samples, turns, seed, kind="cpu"):
        kernels = [make_kernel(role, double) for role in ("candidate", "reference")]
        for kernel in kernels:
            if kind == "cuda":
                exposing(kernel)
        bench = make_bench(*kernels, seed=seed)
        prepared(bench, [BurstPlan(2, 8)] * 2, "eager" if kind == "cpu" else "graph")
        auditor = Auditor(bench, (), samples)
        return [turn for turn in range(turns) if auditor.is_due(turn)]

    return find


@pytest.mark.parametrize("samples", [1, 2, 3, 5, 8, FEW_TURNS - FEWEST])
def test_where_there_are_few_samples_any_turn_may_be_one(turns_due, samples):
    found = [turns_due(samples, samples + FEWEST, seed) for seed in range(60)]
    assert {len(due) for due in found} == {FEWEST}
    assert set().union(*found) == set(range(samples + FEWEST)), "the last ones too"


@pytest.mark.parametrize("samples", [1, 2, 3, FEWEST])
def test_on_a_device_where_samples_are_audited_all_of_a_few_are(turns_due, samples):
    assert turns_due(samples, samples, 1, kind="cuda") == list(range(samples))


def test_one_turn_of_every_step_is_audited(turns_due):
    begins, steps = 0, []
    for end, length in (*STEPS[:-1], (STEPS[-2][0] + 5 * STEPS[-1][1], STEPS[-1][1])):
        steps += [range(first, first + length) for first in range(begins, end, length)]
        begins = end
    seen = [set() for _ in steps]
    for seed in range(60):
        due = turns_due(1000, begins, seed)
        for step, places in zip(steps, seen, strict=True):
            (only,) = [turn for turn in due if turn in step]
            places.add(only - step.start)
    assert all(len(places) > 2 for places in seen)


def test_a_second_pass_is_audited_elsewhere(make_kernel, make_bench):
    bench = make_bench(make_kernel("candidate", double), make_kernel("reference", double))
    auditor = Auditor(bench, (), 100)
    passes = [[turn for turn in range(60) if auditor.is_due(turn)] for _ in range(6)]
    assert len({tuple(due) for due in passes}) > 1


def test_no_two_jobs_are_audited_alike(turns_due):
    assert len({tuple(turns_due(100, 100, seed)) for seed in range(20)}) > 15
