"""The performance part of a result: what is timed, how, and what is said about it."""

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from kbd.daemon.judge import performance as performance_module
from kbd.daemon.judge.at_rest import AT_WORK
from kbd.daemon.judge.audit import Suspicious
from kbd.daemon.judge.correctness import check_workload
from kbd.daemon.judge.device_speed import host_cache_bytes
from kbd.daemon.judge.host_load import HostLoad
from kbd.daemon.judge.performance import BUSY_HOST, NOTHING_COMPARED, time_workload
from kbd.daemon.judge.readiness import get_ready
from kbd.daemon.judge.runner_link import RunnerSilent
from kbd.daemon.judge.stocking import FEWEST_SETS, MOST_BYTES, MOST_SETS, how_many
from kbd.daemon.judge.timed_kernel import TimedKernel
from kbd.daemon.judge.verdict import JudgeTimings
from kbd.daemon.judge.wrong import ReferenceUnusable
from kbd.outbox.intervals import PROCESS_BIAS
from kbd.outbox.verdict import Stage

MIB = 1 << 20


QUIET, BUSY = False, True


@pytest.fixture
def time_it(make_kernel, make_session, document, monkeypatch):
    """Check and time the only workload; returns the session. The cache of this machine holds 1 MiB."""
    monkeypatch.setattr("kbd.daemon.judge.device_speed.host_cache_bytes", lambda: MIB)
    monkeypatch.setattr(HostLoad, "was_busy_since", lambda *_: QUIET)

    def run(
        elements=4,
        *,
        alone=False,
        candidate_us=50.0,
        reference_us=100.0,
        ours=None,
        theirs=None,
        **evaluation,
    ):
        candidate = make_kernel("candidate", lambda x: x + 1, launch_us=candidate_us, **ours or {})
        reference = None
        if not alone:
            reference = make_kernel("reference", lambda x: x + 1, launch_us=reference_us, **theirs or {})
        changes = {
            "workloads": [{"name": "w", "axes": {"N": elements}}],
            "evaluation": {"num_trials": 5, "num_correct_trials": 1, "seed": 7} | evaluation,
        }
        if alone:
            changes["reference"] = None
        session = make_session(candidate, reference, document(**changes))
        check_workload(session, session.findings[0])
        session.told.clear()
        time_workload(session, session.findings[0])
        return session

    return run


def test_a_comparison(time_it):
    session = time_it()
    found = session.findings[0].performance
    assert found.speedup == pytest.approx(2.0)
    assert found.significant is True
    assert (found.timing, found.method, found.method_reason) == ("as_called", "wall", None)
    assert found.candidate.as_called.median == pytest.approx(50)
    assert found.candidate.as_called.samples_us == pytest.approx([50.0] * 5)
    assert found.reference.as_called.median == pytest.approx(100)
    assert found.candidate.device is None
    assert found.candidate.claimed.median == pytest.approx(25)
    assert found.candidate.as_called.samples == 5
    assert found.noise == pytest.approx(math.sinh(PROCESS_BIAS["cpu"]), rel=0.01)
    assert found.stop == "5 samples"
    assert found.setup_us == 12.0
    assert found.audit.compared >= 2
    assert found.audit.failed == 0
    assert (found.floor_us, found.l2_policy) == (None, None)
    assert session.told == [(Stage.TIMING, None, None)]
    assert session.leases == ["held", "given back"]


def test_a_slower_candidate(time_it):
    found = time_it(candidate_us=400.0).findings[0].performance
    assert found.speedup == pytest.approx(0.25)
    assert found.significant is True


@pytest.mark.parametrize("candidate_us", [100.0, 101.0])
def test_equal_kernels_are_no_significant_difference(time_it, candidate_us):
    found = time_it(candidate_us=candidate_us).findings[0].performance
    assert found.speedup == pytest.approx(100.0 / candidate_us)
    assert found.significant is False


def test_a_lone_candidate_has_a_time_and_no_speedup(time_it):
    found = time_it(alone=True).findings[0].performance
    assert found.candidate.as_called.median == pytest.approx(50)
    assert (found.reference, found.speedup, found.significant, found.timing) == (None, None, None, None)
    assert found.audit is None
    assert found.stop == "5 samples"


def test_one_sample_gives_a_ratio_and_claims_no_more(time_it):
    found = time_it(num_trials=1).findings[0].performance
    assert found.speedup == pytest.approx(2.0)
    assert (found.speedup_ci95, found.significant, found.noise) == (None, False, None)


def test_nothing_but_noise_is_said_to_be_that(time_it):
    noise = {"noise": itertools.count(1e6, -1e3)}
    found = time_it(ours=noise, theirs=noise).findings[0].performance
    assert (found.speedup, found.speedup_ci95, found.significant, found.timing) == (None, None, None, None)
    assert (found.stop, found.noise) == ("5 samples; too noisy for a speed-up", None)
    assert found.candidate.as_called.median >= 0


def test_a_slope_that_noise_made_negative_is_no_figure(time_it):
    bursts = itertools.cycle([0.0] * 5 + [3000.0])
    found = time_it(ours={"noise": bursts}, theirs={"noise": bursts}, num_trials=20).findings[0].performance
    assert found.candidate.as_called.min > 1
    assert min(found.candidate.as_called.samples_us) == found.candidate.as_called.min


class Clock:
    """Says that a kernel's processes use so much CPU time between two looks at it."""

    def __init__(self, step_us):
        self.used_us, self.step_us = 0.0, step_us

    def so_far_us(self):
        self.used_us += self.step_us
        return self.used_us


def with_clocks(time_it, monkeypatch, step_us, busy):
    monkeypatch.setattr(HostLoad, "was_busy_since", lambda *_: busy)
    clocks = {"candidate": Clock(step_us), "reference": Clock(0.0)}
    monkeypatch.setattr(TimedKernel, "used_us", lambda kernel: clocks[kernel.role].so_far_us())
    return time_it(num_trials=20)


@pytest.mark.parametrize("busy", [QUIET, BUSY])
def test_work_between_turns_makes_no_speedup(time_it, monkeypatch, busy):
    """A turn of the reference takes about one millisecond."""
    session = with_clocks(time_it, monkeypatch, 200.0, busy)
    found = session.findings[0].performance
    assert (found.speedup, found.significant) == (None, None)
    assert AT_WORK in found.stop
    assert any(AT_WORK in note for note in session.notes)


@pytest.mark.parametrize("busy", [QUIET, BUSY])
def test_much_work_between_turns_is_proof_on_any_host(time_it, monkeypatch, busy):
    with pytest.raises(Suspicious, match="when nothing was asked of them"):
        with_clocks(time_it, monkeypatch, 5_000.0, busy)


def test_processes_that_sleep_between_turns(time_it, monkeypatch):
    session = with_clocks(time_it, monkeypatch, 50.0, QUIET)
    assert session.findings[0].performance.speedup == pytest.approx(2.0)
    assert session.notes == []


def test_without_a_turn_that_was_compared_there_is_no_speedup(time_it):
    number = {"timed": lambda x: 3.0}
    session = time_it(ours=number, theirs=number)
    found = session.findings[0].performance
    assert (found.speedup, found.speedup_ci95, found.significant, found.audit.compared) == (
        None,
        None,
        None,
        0,
    )
    assert found.stop == f"5 samples; {NOTHING_COMPARED}"
    assert found.candidate.as_called.median == pytest.approx(50)
    assert session.notes == [
        f"no speed-up is told, since {NOTHING_COMPARED} (docs/measurement.md, The audit)"
    ]


def test_on_a_busy_host_nothing_is_significant(time_it, monkeypatch):
    monkeypatch.setattr(HostLoad, "was_busy_since", lambda *_: BUSY)
    session = time_it()
    found = session.findings[0].performance
    assert found.speedup == pytest.approx(2.0)
    assert found.speedup_ci95[0] > 1
    assert found.significant is False
    assert session.notes == [BUSY_HOST]


@pytest.fixture
def implausible(monkeypatch):
    """Have timing after timing plausible figures (None), or others on a quiet or busy host; counts them."""
    timings = itertools.count()
    really = performance_module.check_plausible

    def arrange(*rounds):
        def check(timed, floor, *, on_device):
            if rounds[next(timings)] is not None:
                timed.candidate.whole_us[:] = [1e6] * len(timed.candidate.whole_us)
            really(timed, floor, on_device=on_device)

        hosts = map(bool, rounds)
        monkeypatch.setattr(performance_module, "check_plausible", check)
        monkeypatch.setattr(HostLoad, "was_busy_since", lambda *_: next(hosts))
        return timings

    return arrange


@pytest.mark.parametrize("rounds", [(None,), (QUIET, None, None), (BUSY, None, None)], ids=str)
def test_figures_that_are_plausible_most_of_the_time(time_it, implausible, rounds):
    timings = implausible(*rounds)
    session = time_it(num_trials=20)
    assert session.findings[0].performance.speedup == pytest.approx(2.0)
    assert session.notes == []
    assert next(timings) == len(rounds)


@pytest.mark.parametrize("rounds", [(QUIET, QUIET), (QUIET, None, QUIET), (QUIET, BUSY, QUIET)], ids=str)
def test_figures_are_evidence_when_two_timings_of_three_show_them(time_it, implausible, rounds):
    timings = implausible(*rounds)
    with pytest.raises(Suspicious, match="does not depend on how often"):
        time_it(num_trials=20)
    assert next(timings) == len(rounds)


def test_nobody_is_accused_where_the_reference_disagrees_with_itself(time_it, implausible, monkeypatch):
    calls = itertools.count()
    wrong = {"timed": lambda x: x + next(calls)}
    with pytest.raises(Suspicious, match="right whenever it was judged"):
        time_it(num_trials=20, ours=wrong)
    asked = []

    def disagrees(session, finding):
        asked.append(finding)
        raise ReferenceUnusable("it gives another answer to the same input")

    monkeypatch.setattr(performance_module, "require_steady_reference", disagrees)
    with pytest.raises(ReferenceUnusable):
        time_it(num_trials=20, ours=wrong)
    implausible(QUIET, QUIET)
    with pytest.raises(Suspicious, match="does not depend on how often"):
        time_it(num_trials=20)
    assert len(asked) == 1


@pytest.mark.parametrize("rounds", [(BUSY, BUSY, BUSY), (QUIET, BUSY, None), (BUSY, None, QUIET)], ids=str)
def test_on_a_busy_host_they_prove_nothing_and_make_no_speedup(time_it, implausible, rounds):
    implausible(*rounds)
    session = time_it(num_trials=20)
    found = session.findings[0].performance
    assert (found.speedup, found.speedup_ci95, found.significant, found.noise) == (None, None, None, None)
    assert found.stop.endswith("; too noisy for a speed-up")
    assert found.candidate.as_called.median == pytest.approx(50)
    (note,) = session.notes
    assert "the host was busy" in note
    assert "does not depend on how often" in note


def test_a_candidate_that_computes_only_while_it_is_judged_is_suspect(time_it):
    with pytest.raises(Suspicious):
        time_it(ours={"timed": lambda x: torch.zeros_like(x)})


@pytest.mark.parametrize(
    ("elements", "sets"),
    [(1, MOST_SETS["cpu"]), (MIB // 4 // 2 // 2 // 8, 8), (MIB // 8, FEWEST_SETS)],
    ids=["tiny", "an eighth of what is allowed", "too large"],
)
def test_as_many_sets_as_memory_allows(time_it, elements, sets, monkeypatch):
    monkeypatch.setitem(MOST_BYTES, "cpu", MIB)
    session = time_it(elements)
    assert session.candidate.sets_bound.count == session.reference.sets_bound.count == sets


@pytest.mark.parametrize(
    ("free", "sets", "lacked"),
    [(64, MOST_SETS["cuda"], False), (24, 384, False), (20, 320, True), (0, FEWEST_SETS, True)],
)
def test_fewer_sets_than_without_other_jobs_on_the_device(monkeypatch, free, sets, lacked):
    """Of 64 GiB; a set of both kernels takes 16 MiB."""
    one = SimpleNamespace(nbytes=MIB * 4)
    session = SimpleNamespace(
        device=torch.device("cuda"),
        candidate=SimpleNamespace(returned_bytes=MIB * 4),
        reference=one,
        lacked_memory=False,
    )
    monkeypatch.setitem(MOST_BYTES, "cuda", 1 << 40)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (free << 30, 64 << 30))
    assert how_many(session, SimpleNamespace(candidate=one)) == sets
    assert session.lacked_memory == lacked


@pytest.mark.parametrize("lacked", [True, False])
def test_a_method_for_lack_of_memory_is_told_to_the_daemon(time_it, monkeypatch, lacked):
    def ready(*args):
        return replace(get_ready(*args), lacked_memory=lacked)

    monkeypatch.setattr(performance_module, "get_ready", ready)
    session = time_it()
    assert session.lacked_memory == lacked
    assert session.passed(JudgeTimings()).lacked_memory == lacked


def test_the_result_says_how_many_sets_were_timed_and_whether_they_exceed_the_cache(time_it):
    found = time_it(elements=4).findings[0].performance
    assert found.cache == "warm"
    assert 1 < found.input_sets < MOST_SETS["cpu"]
    assert time_it(elements=MIB // 4).findings[0].performance.cache == "cold"
    asked = time_it(elements=MIB // 4, cache="warm").findings[0].performance
    assert (asked.cache, asked.input_sets) == ("warm", 1)


def test_the_last_level_cache_of_this_machine():
    assert host_cache_bytes() >= 1 << 12


def test_trouble_goes_through_and_gives_the_device_back(time_it, monkeypatch):
    silent = RunnerSilent("candidate", 1.0)

    def raise_it(*_args, **_options):
        raise silent

    monkeypatch.setattr(performance_module, "time_kernels", raise_it)
    with pytest.raises(RunnerSilent):
        time_it()
