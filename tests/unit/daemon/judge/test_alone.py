"""Where a speed-up was found a reference is heard once more without its candidate, and has to agree."""

import pytest

from kbd.daemon.executor.runner_protocol import Failed
from kbd.daemon.executor.shared_memory import OutOfDeviceMemory
from kbd.daemon.judge import alone
from kbd.daemon.judge.alone import HEARD_ON, HEARINGS, MOST_FOR_CLOCKS, NOT_HEARD, SLOWED
from kbd.daemon.judge.alone_times import AloneTimes
from kbd.daemon.judge.device_report import DeviceInspector
from kbd.daemon.judge.draw import DataOutOfReach
from kbd.daemon.judge.host_load import HostLoad
from kbd.daemon.judge.pipeline import evaluate
from kbd.daemon.judge.runner_link import RunnerFailed, RunnerSilent

CANDIDATE_US, REFERENCE_US = 40.0, 80.0


@pytest.fixture
def judge(make_kernel, make_session, document, monkeypatch):
    """The verdict on a candidate that is twice as fast; its reference takes `alone_us` when that is gone."""
    monkeypatch.setattr(alone, "HEARD_ON", {"cpu"})
    monkeypatch.setattr(HostLoad, "was_busy_since", lambda *_: False)

    alone_times = AloneTimes()

    def run(alone_us=(), *, candidate_us=CANDIDATE_US, reference_us=REFERENCE_US, trouble=None, **changes):
        candidate = make_kernel("candidate", lambda x: x + x, launch_us=candidate_us)
        reference = make_kernel("reference", lambda x: x + x, launch_us=reference_us)
        session = make_session(candidate, reference, document(**changes))
        session.alone_times = alone_times
        told = iter(alone_us)

        def prepare(question):
            if session.ended:
                if trouble is not None:
                    raise trouble
                reference.launch_us = next(told, reference.launch_us)
            return honest(question)

        honest, reference.on_prepare = reference.on_prepare, prepare
        return evaluate(session), session

    return run


def test_a_reference_as_slow_as_before_confirms_the_speedup(judge):
    verdict, session = judge([REFERENCE_US])
    assert verdict.status == "passed"
    assert verdict.speedup == pytest.approx(2.0)
    assert [result.performance.reference_alone_us for result in verdict.workloads] == [
        pytest.approx(REFERENCE_US)
    ] * 2
    assert session.ended == ["begins", "gone"], "once, for all workloads"
    assert session.leases == ["held", "given back"] * 4, "each workload, and each of its references alone"


def test_a_reference_that_was_held_up_is_evidence(judge):
    verdict, _ = judge([REFERENCE_US / 2] * len(HEARINGS))
    assert (verdict.status, verdict.stage, verdict.blame) == ("suspect", "timing", "candidate")
    assert [one.rule for one in verdict.suspect] == ["slowed_reference"]
    assert verdict.workloads[0].performance.reference_alone_us == pytest.approx(REFERENCE_US / 2)


@pytest.mark.parametrize(("share", "status"), [(1.01, "passed"), (0.98, "suspect")])
def test_what_is_within_the_margin_is_no_evidence(judge, share, status):
    assert judge([REFERENCE_US / SLOWED * share] * len(HEARINGS))[0].status == status


@pytest.mark.parametrize(
    ("clocks", "slowed", "status"),
    [
        ((1500, 1800), 1.2 * SLOWED, "passed"),
        ((1500, 1500), 1.2 * SLOWED, "suspect"),
        ((1500, 1200), 1.02 * SLOWED, "suspect"),
        ((600, 1800), 2.0, "suspect"),
        ((600, 1800), 0.98 * MOST_FOR_CLOCKS * SLOWED, "passed"),
    ],
)
def test_a_clock_that_was_lower_explains_so_much(judge, monkeypatch, clocks, slowed, status):
    mhz = iter((clocks[0], clocks[0]))  # of two workloads; then the reference is alone
    monkeypatch.setattr(DeviceInspector, "sm_mhz", lambda _: next(mhz, clocks[1]))
    assert judge([REFERENCE_US / slowed] * 2 * len(HEARINGS))[0].status == status


def test_a_device_that_was_fast_in_one_hearing_proves_nothing(judge):
    verdict, _ = judge([REFERENCE_US / 2, REFERENCE_US])
    assert verdict.status == "passed"


def test_what_an_earlier_job_heard_need_not_be_heard_again(judge):
    judge([REFERENCE_US])
    verdict, session = judge(candidate_us=CANDIDATE_US / 2)
    assert (verdict.speedup, session.ended) == (pytest.approx(4.0), [])
    assert verdict.workloads[1].performance.reference_alone_us == pytest.approx(REFERENCE_US)


def test_a_reference_slower_than_it_is_known_to_be_is_heard_again(judge):
    judge([REFERENCE_US])
    verdict, session = judge([REFERENCE_US] * len(HEARINGS), reference_us=2 * REFERENCE_US)
    assert session.ended == ["begins", "gone"]
    assert [one.rule for one in verdict.suspect] == ["slowed_reference"]


def test_what_was_heard_last_is_not_lost_to_a_slow_moment(judge):
    judge([REFERENCE_US])
    verdict, _ = judge([2 * REFERENCE_US] * 2, reference_us=2 * REFERENCE_US)
    assert verdict.status == "passed", "the device itself is slow now"
    assert judge([2 * REFERENCE_US] * 2, reference_us=2 * REFERENCE_US)[1].ended, (
        "that is not believed for ever"
    )


@pytest.mark.parametrize(
    "other",
    [
        {"evaluation": {"num_correct_trials": 2, "num_trials": 3, "seed": 7, "cache": "warm"}},
        {"workloads": [{"name": "small", "axes": {"N": 5}}]},
        {"reference": {"kernel_type": "torch", "source_code": "def another(x): return x + x"}},
    ],
)
def test_other_references_and_inputs_are_heard_by_themselves(judge, other):
    judge([REFERENCE_US])
    assert judge([REFERENCE_US], **other)[1].ended


def test_as_many_are_remembered_as_were_asked_for_last():
    times = AloneTimes(kept=2)
    times.learn("first", 3.0)
    times.learn("second", 4.0)
    assert times.of("first") == 3.0
    times.learn("third", 5.0)
    assert [times.of(key) for key in ("first", "second", "third")] == [3.0, None, 5.0]
    times.learn("first", 9.0)
    assert times.of("first") == 3.0


@pytest.mark.parametrize("candidate_us", [REFERENCE_US, 2 * REFERENCE_US])
def test_without_a_speedup_nothing_is_asked(judge, candidate_us):
    verdict, session = judge(candidate_us=candidate_us)
    assert verdict.status == "passed"
    assert session.ended == []
    assert verdict.workloads[0].performance.reference_alone_us is None


def test_on_a_processor_nothing_is_asked(judge, monkeypatch):
    monkeypatch.setattr(alone, "HEARD_ON", HEARD_ON)
    verdict, session = judge()
    assert (verdict.status, session.ended) == ("passed", [])
    assert verdict.speedup == pytest.approx(2.0)


@pytest.mark.parametrize(
    "trouble",
    [
        RunnerSilent("reference", 0.0),
        OutOfDeviceMemory("no room"),
        DataOutOfReach("gone"),
        RunnerFailed("reference", Failed(status="runtime_error", type="X", message="no")),
    ],
)
def test_a_reference_that_cannot_be_heard_leaves_no_speedup(judge, trouble):
    verdict, _ = judge(trouble=trouble)
    assert (verdict.status, verdict.speedup) == ("passed", None)
    assert NOT_HEARD in verdict.workloads[0].performance.stop
    assert any(NOT_HEARD in note for note in verdict.notes)


def test_samples_are_taken_as_announced(judge, monkeypatch):
    ways = []
    honest = alone.time_kernels
    monkeypatch.setattr(
        alone, "time_kernels", lambda *arguments: ways.append(arguments[2]) or honest(*arguments)
    )
    judge([REFERENCE_US])
    assert [(way.method, way.max_samples) for way in ways] == [("eager", HEARINGS[0])] * 2
    ways.clear()
    judge([REFERENCE_US / 2] * len(HEARINGS), reference_us=REFERENCE_US * 2)
    assert [way.max_samples for way in ways] == [*HEARINGS], "doubt takes longer"
