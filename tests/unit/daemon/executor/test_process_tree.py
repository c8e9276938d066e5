"""The CPU time of a process with all that descend from it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from kbd.daemon.executor import process_tree
from kbd.daemon.executor.process_tree import TreeTime

BUSY_S = 0.05
WORK = f"""
import subprocess
import sys
import threading
import time


def work():
    until = time.thread_time() + {BUSY_S}
    while time.thread_time() < until:
        pass


if sys.argv[1] == "itself":
    work()
elif sys.argv[1] == "a thread that ends":
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
elif sys.argv[1] == "a grandchild":
    nested = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1], 'itself'])"
    child = subprocess.Popen([sys.executable, "-c", nested, sys.argv[2]])
print("done", flush=True)
time.sleep(60)
"""


@pytest.fixture
def worker():
    """Starts one; it and all that it has begun are killed afterwards."""
    begun = []

    def begin(who):
        command = [sys.executable, "-c", WORK, who, WORK]
        begun.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True))
        return begun[-1]

    yield begin
    for process in begun:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def grows_by(tree, wanted_us, limit_s=20.0):
    """Whether it has grown by so much before the time is over."""
    first, until = tree.so_far_us(), time.monotonic() + limit_s
    while time.monotonic() < until:
        if tree.so_far_us() - first >= wanted_us:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("who", ["itself", "a thread that ends", "a grandchild"])
def test_whoever_works(worker, who):
    assert grows_by(TreeTime(worker(who).pid), BUSY_S * 1e6)


def test_who_sleeps_uses_nothing(worker):
    process = worker("nobody")
    assert process.stdout.readline() == "done\n"
    tree = TreeTime(process.pid)
    before = tree.so_far_us()
    time.sleep(0.1)
    assert tree.so_far_us() - before < BUSY_S * 1e6 / 2


def test_what_those_used_that_are_gone_stays(monkeypatch):
    used_ns = {1: 5_000, 2: 7_000, 3: 1_000}
    monkeypatch.setattr(process_tree, "_used_ns", used_ns.get)
    monkeypatch.setattr(process_tree, "children_of", lambda pid: {1: {2}, 2: {3}}.get(pid, set()))
    tree = TreeTime(1)
    assert tree.so_far_us() == 13.0
    del used_ns[2]  # its child is nobody's any more
    assert tree.so_far_us() == 13.0
    used_ns[1] += 2_000
    assert tree.so_far_us() == 15.0


def test_a_process_that_is_gone():
    process = subprocess.Popen(["true"])
    process.wait()
    assert TreeTime(process.pid).so_far_us() == 0.0
