"""kill -9 before a system call, restart, and look: every job has exactly one result, nothing runs, nothing is held.

A run is recorded first; then it is done again for each of its calls, and killed there. Some of them, evenly
spread, with KBD_CRASH_POINTS=some; all with KBD_CRASH_POINTS=all.
"""

import pytest

pytestmark = pytest.mark.crash

MOST = 2
CALLS = (
    *("rename,renameat2", "link,linkat", "unlink,unlinkat", "mkdir", "fsync", "fdatasync"),
    *("write", "pwrite64", "ftruncate", "openat"),
)
CALLS_OF_THE_REAL = ("rename,renameat2", "link,linkat", "fsync", "fdatasync", "pwrite64")


def check(of, calls, most, spread, fresh, tally):
    ground, points = of
    numbers = spread(points[calls], most)  # a part of them may be none
    for number in numbers:
        struck, faults = fresh(ground).killed_at(calls, number)
        tally.add((calls, number), faults, struck=struck)
    assert tally.wrong == []
    assert tally.struck > 0 or not numbers


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("calls", CALLS)
def test_killed_before_a_call_no_job_is_lost_and_none_is_there_twice(quick, fresh, spread, tally, calls):
    check(quick, calls, MOST, spread, fresh, tally)


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("calls", CALLS_OF_THE_REAL)
def test_the_daemon_with_its_judge_is_killed_before_a_call(real, fresh, spread, tally, calls):
    check(real, calls, 1, spread, fresh, tally)
