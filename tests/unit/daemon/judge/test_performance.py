"""The performance part of a result: what is timed, how, and what is said about it."""

import pytest
import torch

from kbd.daemon.judge import performance as performance_module
from kbd.daemon.judge.performance import MAX_SETS, MIN_SETS, time_workload
from kbd.daemon.judge.runner_link import RunnerSilent
from kbd.outbox.verdict import Stage

MIB = 1 << 20


@pytest.fixture
def time_it(make_kernel, make_session, document, monkeypatch):
    """Time the only workload; returns the session. The cache of this machine holds 1 MiB."""
    monkeypatch.setattr(performance_module, "_host_cache_bytes", lambda: MIB)

    def run(elements=4, *, alone=False, candidate_us=50.0, reference_us=100.0, **evaluation):
        candidate = make_kernel("candidate", lambda x: x, launch_us=candidate_us)
        reference = None if alone else make_kernel("reference", lambda x: x, launch_us=reference_us)
        changes = {
            "workloads": [{"name": "w", "axes": {"N": elements}}],
            "evaluation": {"num_trials": 5} | evaluation,
        }
        if alone:
            changes["reference"] = None
        session = make_session(candidate, reference, document(**changes))
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
    assert found.reference.as_called.median == pytest.approx(100)
    assert found.candidate.device is None
    assert found.candidate.claimed.median == pytest.approx(25)
    assert found.candidate.as_called.samples == 5
    assert found.noise == pytest.approx(0.0)
    assert found.stop == "5 samples"
    assert found.setup_us == 12.0
    assert session.told == [(Stage.TIMING, None, None)]


def test_a_slower_candidate(time_it):
    found = time_it(candidate_us=400.0).findings[0].performance
    assert found.speedup == pytest.approx(0.25)
    assert found.significant is True


def test_equal_kernels_are_no_significant_difference(time_it):
    found = time_it(candidate_us=100.0).findings[0].performance
    assert found.speedup == 1.0
    assert found.significant is False


def test_a_lone_candidate_has_a_time_and_no_speedup(time_it):
    found = time_it(alone=True).findings[0].performance
    assert found.candidate.as_called.median == pytest.approx(50)
    assert (found.reference, found.speedup, found.significant, found.timing) == (None, None, None, None)


def test_both_kernels_get_the_same_sets_and_none_of_the_correctness_trials(time_it):
    session = time_it(elements=16)
    candidate, reference = session.candidate._sets, session.reference._sets
    assert candidate.keys() == reference.keys()
    tensors = [candidate[index][0][0] for index in candidate]
    for index in candidate:
        assert torch.equal(candidate[index][0][0], reference[index][0][0])
    assert not torch.equal(tensors[0], tensors[1])


@pytest.mark.parametrize(
    ("elements", "sets", "cache"),
    [
        (1, MAX_SETS, "warm"),
        (MIB // 16, 6, "cold"),
        (MIB // 4, MIN_SETS, "cold"),
        (100 * MIB, 1, "cold"),
    ],
    ids=["tiny", "a quarter of the cache", "the cache", "too large to keep twice"],
)
def test_as_many_sets_as_exceed_the_cache(elements, sets, cache):
    nbytes = 4 * elements
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(performance_module, "_host_cache_bytes", lambda: MIB)
        patch.setattr(performance_module, "HOST_SETS_BYTES", 256 * MIB)
        found = performance_module._how_many_sets(nbytes, torch.device("cpu"))
    assert found == sets
    assert (found * nbytes > MIB) == (cache == "cold")


def test_the_result_says_how_many_sets_and_whether_the_cache_was_cold(time_it):
    found = time_it(elements=4).findings[0].performance
    assert (found.input_sets, found.cache) == (MAX_SETS, "warm")
    assert time_it(elements=MIB // 4).findings[0].performance.cache == "cold"


def test_the_last_level_cache_of_this_machine():
    assert performance_module._host_cache_bytes() >= 1 << 12


def test_trouble_goes_through(time_it, monkeypatch):
    silent = RunnerSilent("candidate", 1.0)

    def raise_it(*_args, **_options):
        raise silent

    monkeypatch.setattr(performance_module, "time_kernels", raise_it)
    with pytest.raises(RunnerSilent):
        time_it()
