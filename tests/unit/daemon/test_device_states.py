"""What devices are doing, and since when."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import pytest

from kbd.daemon.device_states import DeviceStates, state_of
from kbd.daemon.devices import Device
from kbd.daemon.executor.protocol import DeviceTarget

CARD = Device("GPU-1", "a card", DeviceTarget(kind="cuda", visible="GPU-1", arch="sm_90"))


def worker(job_id=None, problem=None, *, is_free=True, key="GPU-1"):
    return SimpleNamespace(device=replace(CARD, key=key), job_id=job_id, problem=problem, is_free=is_free)


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (worker(), "free"),
        (worker("j", is_free=False), "busy"),
        (worker(is_free=False), "examined"),
        (worker(problem="broken", is_free=False), "out"),
        (worker("j", problem="broken", is_free=False), "out"),
    ],
)
@pytest.mark.fault("a device is lost")
def test_states(found, state):
    assert state_of(found) == state


def test_since_when_a_state_was_first_seen():
    ticks = itertools.count()
    states = DeviceStates(clock=lambda: f"t{next(ticks)}")
    first, second = worker(key="GPU-1"), worker("a", is_free=False, key="GPU-2")
    assert [entry["since"] for entry in states.look([first, second])] == ["t0", "t1"]
    second.job_id = "b"
    assert [entry["since"] for entry in states.look([first, second])] == ["t0", "t2"]
    first.problem = "broken"
    assert [entry["since"] for entry in states.look([first, second])] == ["t3", "t2"]


def test_workers_of_one_device_are_one_entry():
    states = DeviceStates(clock=lambda: "t")
    workers = [worker("a", is_free=False), worker(), worker("b", is_free=False)]
    (entry,) = states.look(workers)
    assert (entry["state"], entry["job"]) == ("busy", "a, b")
    (entry,) = states.look([worker(), worker(is_free=False)])
    assert (entry["state"], entry["job"]) == ("examined", None)


def test_an_entry():
    (entry,) = DeviceStates(clock=lambda: "t").look([worker()])
    assert entry == {
        "key": "GPU-1",
        "name": "a card",
        "kind": "cuda",
        "arch": "sm_90",
        "state": "free",
        "job": None,
        "problem": None,
        "since": "t",
    }
