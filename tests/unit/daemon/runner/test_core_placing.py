"""Threads on cores: those of torch's pool stay apart, the main thread is only put in its place."""

import json
import os
import subprocess
import sys

import pytest

from kbd.daemon.runner.core_placing import CorePlacing

LOOK = """
import json
import os
import threading

import torch

from kbd.daemon.runner.core_placing import CorePlacing

torch.set_num_threads(2)
before = set(os.listdir("/proc/self/task"))
placing = CorePlacing.here()
x = torch.relu(torch.zeros(1 << 20))
pool = set(os.listdir("/proc/self/task")) - before
placing.place_pool()
seen = []
for _ in range(20):
    placing.place_main()
    seen.append(os.sched_getaffinity(0))
    torch.relu(x)
begun = []
thread = threading.Thread(target=lambda: begun.append(sorted(os.sched_getaffinity(0))))
thread.start()
thread.join()
cores = {task: sorted(os.sched_getaffinity(int(task))) for task in os.listdir("/proc/self/task")}
print(
    json.dumps(
        {
            "pool": [cores.pop(task) for task in pool],
            "others": list(cores.values()),
            "begun": begun[0],
            "held": len(seen[0]),
        }
    )
)
"""
CORES = sorted(os.sched_getaffinity(0))


@pytest.mark.skipif(len(CORES) < 2, reason="one core for all threads")
def test_each_thread_of_the_pool_has_a_core_of_its_own_and_nothing_else_is_held():
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["pool"] == [[CORES[1]]]
    assert len(found["others"]) >= 1, "the main thread at least"
    assert all(cores == CORES for cores in (*found["others"], found["begun"]))
    assert found["held"] == len(CORES)


def test_the_main_thread_is_put_on_the_first_core_and_let_go(monkeypatch):
    asked = []
    monkeypatch.setattr(os, "sched_setaffinity", lambda task, cores: asked.append((task, set(cores))))
    CorePlacing([3, 5, 6]).place_main()
    assert asked == [(0, {3}), (0, {3, 5, 6})]


def test_more_threads_than_cores_are_left_alone(monkeypatch):
    asked = []
    monkeypatch.setattr(os, "sched_setaffinity", lambda task, cores: asked.append((task, set(cores))))
    tasks = iter([["9"], ["11", "10", "12", "9"]])
    monkeypatch.setattr(os, "listdir", lambda _: next(tasks))
    CorePlacing([3, 5, 6]).place_pool()
    assert asked == [(10, {5}), (11, {6})]


def test_a_host_that_forbids_it(monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    placing = CorePlacing.here()
    placing.place_main()
    placing.place_pool()


def test_a_host_that_tells_of_no_threads(monkeypatch):
    def refuse(*_):
        raise FileNotFoundError

    monkeypatch.setattr(os, "listdir", refuse)
    CorePlacing.here().place_pool()
