"""Bursts on the CPU: as many launches as asked for, each set in its turn."""

from types import SimpleNamespace

import pytest
import torch

from kbd.daemon.runner import bursts as bursts_module
from kbd.daemon.runner.bursts import WARM_UP_ROUNDS, Bursts

CPU = torch.device("cpu")


@pytest.fixture
def calls():
    """Three sets whose calls are noted in `calls.made`."""
    made = []
    return SimpleNamespace(made=made, sets=[lambda place=place: made.append(place) for place in range(3)])


@pytest.mark.parametrize("length", [0, 1, 2, 3, 7])
def test_a_burst_runs_over_the_sets_in_turn(calls, length):
    bursts = Bursts(calls.sets, CPU)
    bursts.prepare([length], "eager")
    claimed_us = bursts.run(0)
    assert calls.made == [place % 3 for place in range(length)]
    assert claimed_us >= 0


def test_bursts_are_chosen_by_their_place(calls):
    bursts = Bursts(calls.sets, CPU)
    prepared = bursts.prepare([0, 1, 5], "eager")
    assert (prepared.method, prepared.reason) == ("eager", None)
    made = []
    for index in (2, 0, 1):
        calls.made.clear()
        bursts.run(index)
        made.append(len(calls.made))
    assert made == [5, 0, 1]


def test_preparing_runs_nothing_and_replaces_what_was_prepared(calls):
    bursts = Bursts(calls.sets, CPU)
    bursts.prepare([1], "eager")
    bursts.prepare([4], "eager")
    assert calls.made == []
    bursts.run(0)
    assert len(calls.made) == 4
    with pytest.raises(IndexError):
        bursts.run(1)


def test_the_number_of_sets(calls):
    assert Bursts(calls.sets, CPU).sets == 3


def test_the_claim_is_the_runners_own_clock(calls, monkeypatch):
    ticks = iter([1_000, 8_500])
    monkeypatch.setattr(bursts_module, "time", SimpleNamespace(perf_counter_ns=lambda: next(ticks)))
    bursts = Bursts(calls.sets, CPU)
    bursts.prepare([1], "eager")
    assert bursts.run(0) == 7.5


def test_warming_up_calls_every_set(calls, monkeypatch):
    monkeypatch.setattr(bursts_module, "time", SimpleNamespace(perf_counter=lambda: 0.0))
    Bursts(calls.sets, CPU).warm_up()
    assert calls.made == [0, 1, 2] * WARM_UP_ROUNDS


def test_a_slow_kernel_is_warmed_up_once(calls, monkeypatch):
    seconds = iter(range(100))
    monkeypatch.setattr(bursts_module, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))
    Bursts(calls.sets, CPU).warm_up()
    assert calls.made == [0]


def test_an_error_of_the_kernel_ends_the_burst():
    def fail():
        raise ValueError("mine")

    bursts = Bursts([fail], CPU)
    bursts.prepare([3], "eager")
    with pytest.raises(ValueError, match="mine"):
        bursts.run(0)
