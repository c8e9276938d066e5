"""The secret audit: a kernel that computes while it is judged and not while it is timed is found."""

import pytest
import torch

from kbd.daemon.executor.runner_protocol import Failed
from kbd.daemon.judge.audit import SURE, SURE_WITHIN, Auditor, Suspicious
from kbd.daemon.judge.bench import BurstPlan
from kbd.daemon.judge.expected import Yardstick
from kbd.daemon.judge.freshening import Origin
from kbd.daemon.judge.runner_link import RunnerFailed, RunnerForged
from kbd.daemon.judge.timing import Way, get_ready, time_kernels
from kbd.daemon.judge.tolerance import AppliedTolerance
from kbd.inbox.bound_contract import BoundTensor
from kbd.inbox.dtypes import DType

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
    assert report.compared >= SURE
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
    assert audited(doubled_in_place, doubled_in_place, **WRITTEN).compared >= SURE
    with pytest.raises(Suspicious):
        audited(lambda x: None, doubled_in_place, **WRITTEN)


def test_a_candidate_may_write_what_the_reference_returns(audited):
    assert audited(doubled_in_place, double, **WRITTEN).compared >= SURE
    with pytest.raises(Suspicious):
        audited(lambda x: None, double, **WRITTEN)


def test_a_candidate_that_also_returns_is_judged_by_what_it_wrote(audited):
    def lies(x):
        return x * 2

    with pytest.raises(Suspicious):
        audited(lies, doubled_in_place, **WRITTEN)


def test_views_of_the_inputs_are_as_good_as_copies(audited):
    assert audited(lambda x: x[1:], lambda x: x[1:].clone()).compared >= SURE


def test_launches_that_build_on_each_other_cannot_be_compared(audited):
    report = audited(doubled_in_place, doubled_in_place, warm=True, **WRITTEN)
    assert report.compared == 0


# --- kernels with one buffer for all they return -------------------------------------------------------


def reusing(kernel):
    """Every launch but the last of a burst is overwritten, as its runner tells."""
    kernel.reuses = lambda burst, launch: launch + 1 < len(kernel.prepared[-1][0][burst])
    return kernel


@pytest.mark.parametrize("who", [("candidate",), ("reference",), ("candidate", "reference")])
@pytest.mark.parametrize("honest", [True, False])
def test_of_memory_that_is_used_again_the_last_launch_is_compared(make_kernel, make_bench, who, honest):
    kernels = {
        "candidate": make_kernel("candidate", double, timed=double if honest else lambda x: x * 3),
        "reference": make_kernel("reference", double, launch_us=20.0),
    }
    for role in who:
        reusing(kernels[role])
    bench = make_bench(*kernels.values())
    auditor = Auditor(bench, (YARDSTICK,), 20)
    ready = get_ready(bench, "eager")
    if honest:
        time_kernels(bench, ready, Way("eager", 20, 1e9), auditor, lambda: 0.0)
        assert auditor.report().compared >= SURE
    else:
        with pytest.raises(Suspicious):
            time_kernels(bench, ready, Way("eager", 20, 1e9), auditor, lambda: 0.0)


def test_nothing_can_have_overwritten_the_last_launch(make_kernel, make_bench):
    candidate = make_kernel("candidate", double)
    candidate.reuses = lambda burst, launch: True
    bench = make_bench(candidate, make_kernel("reference", double))
    ready = get_ready(bench, "eager")
    with pytest.raises(RunnerForged):
        time_kernels(bench, ready, Way("eager", 20, 1e9), Auditor(bench, (), 20), lambda: 0.0)


# --- what cannot be compared --------------------------------------------------------------------------


def test_kernels_that_return_no_tensor_are_not_said_to_be_compared(audited):
    assert audited(lambda x: 3.0, lambda x: 3.0).compared == 0


def test_outputs_without_elements_are_equal(audited):
    assert audited(lambda x: x[:0], lambda x: x[:0]).failed == 0


def test_a_reference_whose_outputs_depend_on_the_inputs_ends_the_audit(audited):
    said = Failed(status="runtime_error", type="RuntimeError", message="other tensors")
    report = audited(troubles={"export_launches": RunnerFailed("reference", said)})
    assert report.compared == 0


def test_a_lone_candidate_has_no_report(make_kernel, make_bench):
    bench = make_bench(make_kernel("candidate", double))
    auditor = Auditor(bench, (), 5)
    assert not any(auditor.is_due(turn) for turn in range(20))
    assert auditor.report() is None


# --- how often ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", [1, 2, 5, 16, 100])
def test_some_turns_are_audited_for_sure(make_kernel, make_bench, turns):
    for seed in range(10):
        bench = make_bench(make_kernel("candidate", double), make_kernel("reference", double), seed=seed)
        bench.plan(BurstPlan(1, 3), BurstPlan(1, 3))
        bench.odds = lambda share: False
        auditor = Auditor(bench, (), turns)
        due = [turn for turn in range(turns) if auditor.is_due(turn)]
        assert len(due) == min(SURE, turns)
        assert max(due) < SURE_WITHIN


def test_no_two_jobs_are_audited_alike(make_kernel, make_bench):
    seen = set()
    for seed in range(20):
        bench = make_bench(make_kernel("candidate", double), make_kernel("reference", double), seed=seed)
        auditor = Auditor(bench, (), 100)
        seen.add(tuple(turn for turn in range(100) if auditor.is_due(turn)))
    assert len(seen) > 15
