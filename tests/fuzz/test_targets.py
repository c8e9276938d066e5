"""Every target of the fuzzer with a few inputs; `python -m tests.fuzz` goes on for as long as it is told."""

import os
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.targets import TARGETS

EXAMPLES = 30
SLOW = {"lying_runners": 10}


@pytest.mark.parametrize("name", TARGETS)
def test_strangers_are_refused_and_nothing_else_happens(name):
    target = TARGETS[name]
    bounded = settings(max_examples=SLOW.get(name, EXAMPLES), suppress_health_check=list(HealthCheck))
    bounded(given(target.inputs)(target.check))()


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.seeds])
def test_what_a_fuzzer_begins_with_is_taken(name):
    for seed in TARGETS[name].seeds:
        TARGETS[name].check(seed)


@pytest.mark.skipif("KBD_FUZZ_SECONDS" not in os.environ, reason="set KBD_FUZZ_SECONDS to how long to fuzz")
@pytest.mark.timeout(0)
def test_a_long_run_finds_nothing():
    seconds = os.environ["KBD_FUZZ_SECONDS"]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--seconds", seconds],
        capture_output=True,
        text=True,
        check=False,
    )
    print(ended.stdout)
    assert ended.returncode == 0, ended.stdout + ended.stderr
