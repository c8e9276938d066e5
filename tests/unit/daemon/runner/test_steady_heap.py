"""A heap that gives nothing back: memory that was freed once is not faulted in again."""

import subprocess
import sys

import pytest

COUNT = """
import resource
import sys

import torch

from kbd.daemon.runner.steady_heap import keep_freed_memory

if sys.argv[1] == "steady":
    assert keep_freed_memory()
torch.set_num_threads(1)
x = torch.zeros(1 << 20)


def launch():
    return [torch.relu(x) for _ in range(4)]


for _ in range(3):
    launch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    launch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES_OF_ALL_OUTPUTS = 20 * 4 * (4 << 20) // 4096


def faults(how):
    done = subprocess.run([sys.executable, "-c", COUNT, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone has these thresholds")
def test_outputs_are_not_faulted_in_again_and_again():
    assert faults("steady") < PAGES_OF_ALL_OUTPUTS / 10
