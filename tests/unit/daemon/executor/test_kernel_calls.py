"""Calls to the system: they take effect, and refusals are errors."""

import subprocess
import sys

import pytest

from kbd.daemon.executor.kernel_calls import _prctl

CHILD_DIES_WITH_PARENT = """
import os, subprocess, sys
code = (
    "import os, sys, time; from kbd.daemon.executor.kernel_calls import die_with_parent;"
    "die_with_parent(); print('ready', flush=True); time.sleep(600)"
)
child = subprocess.Popen([sys.executable, "-c", code])
sys.stdin.read()
os._exit(0)
"""


def test_a_child_dies_with_its_parent():
    parent = subprocess.Popen(
        [sys.executable, "-c", CHILD_DIES_WITH_PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout.readline() == b"ready\n"
    # Ends the parent; the output ends when the child, which holds it as well, has ended.
    parent.communicate(timeout=60)
    assert parent.returncode == 0


def test_privileges_are_renounced_for_good():
    code = (
        "from kbd.daemon.executor.kernel_calls import renounce_privileges; renounce_privileges();"
        "print([line for line in open('/proc/self/status') if line.startswith('NoNewPrivs')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "NoNewPrivs:\\t1" in done.stdout


def test_a_refusal_is_an_error():
    with pytest.raises(OSError, match="prctl"):
        _prctl(-1, 0)
