"""kill -9 before a system call, restart, and look: every job has exactly one result, nothing runs, nothing is held.

A run is recorded first; then it is done again for each of its calls, and killed there. Some of them, evenly
spread, by default; all with KBD_CRASH_POINTS=all.
"""

import signal

import pytest

pytestmark = pytest.mark.crash

MOST = 2
KILLED = -signal.SIGKILL


def killed_at(ground, calls, number, tally):
    code, output = ground.inject(calls, f"signal=KILL:when={number}")
    struck = code == KILLED
    before = ground.published()
    after, words = ground.run()
    faults = (
        ground.faults(before) if after == 0 else [f"lost: the restart ended with {after}: {words[-2000:]}"]
    )
    if not struck and code != 0:
        faults.append(f"ended with {code}: {output[-2000:]}")
    tally.add((calls, number), faults, struck=struck)


@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    "calls",
    [
        "rename,renameat2",
        "link,linkat",
        "unlink,unlinkat",
        "mkdir",
        "fsync",
        "fdatasync",
        "write",
        "pwrite64",
        "ftruncate",
    ],
)
def test_killed_before_a_call_no_job_is_lost_and_none_is_there_twice(quick, fresh, spread, tally, calls):
    ground, counted = quick
    for number in spread(counted[calls], MOST):
        killed_at(fresh(ground), calls, number, tally)
    assert tally.wrong == []
    assert tally.struck > 0


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("calls", ["rename,renameat2", "link,linkat", "fsync", "fdatasync", "pwrite64"])
def test_the_daemon_with_its_judge_is_killed_before_a_call(real, fresh, spread, tally, calls):
    ground, counted = real
    for number in spread(counted[calls], 1):
        killed_at(fresh(ground), calls, number, tally)
    assert tally.wrong == []
    assert tally.struck > 0
