"""Bursts on the CPU: a launch on every set that was named, in that order, and what they returned."""

import weakref
from types import SimpleNamespace

import pytest
import torch

from kbd.daemon.runner import bursts as bursts_module
from kbd.daemon.runner.bursts import WARM_UP_ROUNDS, Bursts
from kbd.daemon.runner.copying import target_at

CPU = torch.device("cpu")


def unchanged(place):
    """What a well-behaved kernel has left to be renewed."""


@pytest.fixture
def calls():
    """Three sets whose calls are noted in `calls.made`, and which return a new tensor each."""
    made = []

    def call(place):
        made.append(place)
        return torch.tensor([float(len(made)), float(place)])

    return SimpleNamespace(made=made, sets=[lambda place=place: call(place) for place in range(3)])


@pytest.mark.parametrize("plan", [(), (0,), (2, 0), (1, 1, 1), (2, 1, 0, 1, 2)])
def test_a_burst_runs_on_the_sets_it_names(calls, plan):
    bursts = Bursts(calls.sets, CPU, unchanged)
    bursts.prepare([plan], "eager")
    assert bursts.run(0) >= 0
    assert calls.made == list(plan)


@pytest.mark.parametrize(
    ("error", "free", "lacked"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory"), 50, True),
        (RuntimeError("operation not permitted when stream is capturing"), 50, False),
        (RuntimeError("operation not permitted when stream is capturing"), 0, True),
    ],
)
def test_why_a_capture_failed(calls, monkeypatch, error, free, lacked):
    def fail(*_):
        raise error

    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (free, 100))
    monkeypatch.setattr("torch.cuda.synchronize", lambda device: None)
    bursts = Bursts(calls.sets, CPU, unchanged)
    monkeypatch.setattr(bursts, "_capture_all", fail)
    told = bursts.prepare([[0]], "graph")
    assert (told.method, told.lacked_memory) == ("eager", lacked)
    assert str(error) in told.reason
    assert not bursts.prepare([[0]], "eager").lacked_memory


def test_bursts_are_chosen_by_their_place(calls):
    bursts = Bursts(calls.sets, CPU, unchanged)
    prepared = bursts.prepare([(), (1,), (0, 2)], "eager")
    assert (prepared.method, prepared.reason) == ("eager", None)
    for index in (2, 0, 1):
        bursts.run(index)
    assert calls.made == [0, 2, 1]


def test_preparing_runs_nothing_and_replaces_what_was_prepared(calls):
    bursts = Bursts(calls.sets, CPU, unchanged)
    bursts.prepare([(0,)], "eager")
    bursts.prepare([(1, 2)], "eager")
    assert calls.made == []
    bursts.run(0)
    assert calls.made == [1, 2]
    with pytest.raises(IndexError):
        bursts.run(1)


@pytest.fixture
def room():
    """Where what is returned on each of three sets is copied: two numbers."""
    return [[target_at(torch.zeros(2))] for _ in range(3)]


def test_what_launches_returned_is_copied_where_it_is_to_be_kept(calls, room):
    bursts = Bursts(calls.sets, CPU, unchanged)
    bursts.prepare([(0, 2), (1,)], "eager", room)
    bursts.run(1, keep=True)
    bursts.run(0, keep=True)
    assert [target.tensor.tolist() for (target,) in room] == [[2, 0], [1, 1], [3, 2]]
    assert bursts.found.unfit == []


def test_nothing_is_copied_unasked(calls, room):
    bursts = Bursts(calls.sets, CPU, unchanged)
    bursts.prepare([(0, 1, 2)], "eager", room)
    bursts.run(0)
    assert [target.tensor.tolist() for (target,) in room] == [[0, 0]] * 3


def test_one_buffer_for_every_launch_is_copied_before_the_next(room):
    buffer = torch.zeros(2)
    bursts = Bursts([lambda: buffer.add_(1)] * 3, CPU, unchanged)
    bursts.prepare([[0, 1, 2]], "eager", room)
    bursts.run(0, keep=True)
    assert [target.tensor.tolist() for (target,) in room] == [[1, 1], [2, 2], [3, 3]]


def test_other_tensors_than_there_is_room_for_are_told(room):
    made = [torch.ones(2), torch.ones(3), (torch.ones(2), torch.ones(2))]
    bursts = Bursts([lambda place=place: made[place] for place in range(3)], CPU, unchanged)
    bursts.prepare([(0, 1, 2), (0,)], "eager", room)
    bursts.run(0, keep=True)
    assert bursts.found.unfit == [1, 2]
    assert [target.tensor.tolist() for (target,) in room] == [[1, 1], [0, 0], [0, 0]]
    bursts.run(1, keep=True)
    assert bursts.found.unfit == []


def test_what_is_not_kept_is_given_back():
    alive = []

    def call():
        made = torch.zeros(1)
        alive.append(weakref.ref(made))
        return made

    bursts = Bursts([call], CPU, unchanged)
    bursts.prepare([[0] * 20], "eager")
    bursts.run(0)
    assert sum(ref() is not None for ref in alive) == 0


def test_the_claim_is_the_runners_own_clock(calls, monkeypatch):
    ticks = iter([1_000, 8_500])
    monkeypatch.setattr(bursts_module, "time", SimpleNamespace(perf_counter_ns=lambda: next(ticks)))
    bursts = Bursts(calls.sets, CPU, unchanged)
    bursts.prepare([(0,)], "eager")
    assert bursts.run(0) == 7_500


def test_warming_up_calls_every_set(calls, monkeypatch):
    monkeypatch.setattr(bursts_module, "time", SimpleNamespace(perf_counter=lambda: 0.0))
    Bursts(calls.sets, CPU, unchanged).warm_up()
    assert calls.made == [0, 1, 2] * WARM_UP_ROUNDS


def test_a_slow_kernel_is_warmed_up_once(calls, monkeypatch):
    seconds = iter(range(100))
    monkeypatch.setattr(bursts_module, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))
    Bursts(calls.sets, CPU, unchanged).warm_up()
    assert calls.made == [0]


def test_an_error_of_the_kernel_ends_the_burst():
    def fail():
        raise ValueError("mine")

    bursts = Bursts([fail], CPU, unchanged)
    bursts.prepare([(0, 0)], "eager")
    with pytest.raises(ValueError, match="mine"):
        bursts.run(0)


def test_arguments_that_a_kernel_reshapes_are_made_anew_after_every_launch():
    sets = [torch.zeros(2, 3), torch.zeros(2, 3)]
    seen = []

    def call_on(place):
        argument = sets[place].view(2, 3)
        arguments[place] = argument
        return lambda: seen.append(tuple(argument.shape)) or argument.t_()

    def renew(place):
        return call_on(place) if arguments[place].shape != (2, 3) else None

    arguments = [None, None]
    bursts = Bursts([call_on(0), call_on(1)], CPU, renew)
    bursts.warm_up()
    bursts.prepare([(0, 1), (1,)], "eager")
    for index in (0, 1, 0, 1):
        bursts.run(index)
        bursts.restore(index)
    assert set(seen) == {(2, 3)}


def test_a_kernel_that_leaves_its_arguments_alone_is_not_asked_again(calls):
    asked = []
    bursts = Bursts(calls.sets, CPU, asked.append)
    bursts.warm_up()
    warmed_up = len(asked)
    bursts.prepare([(0, 1, 2)], "eager")
    bursts.run(0)
    bursts.restore(0)
    assert len(asked) == warmed_up > 0
