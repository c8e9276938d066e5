"""Five points of the crash matrix: always the same ones, or KBD_CRASH_SAMPLE others of another KBD_CRASH_SEED."""

import os
import random

import pytest

USUALLY = 5
ERRORS = ("ENOSPC", "EIO", "ESTALE", "EACCES")


@pytest.mark.timeout(7200)
@pytest.mark.xdist_group("crash")
def test_wherever_a_daemon_is_struck_every_job_has_one_result(quick, fresh, tally):
    ground, points = quick
    seed = int(os.environ.get("KBD_CRASH_SEED") or 1)
    choice = random.Random(seed)
    for _ in range(int(os.environ.get("KBD_CRASH_SAMPLE") or USUALLY)):
        calls = choice.choice(sorted(points))
        number, error = choice.choice(points[calls]), choice.choice((None, *ERRORS))
        if error is None:
            struck, faults = fresh(ground).killed_at(calls, number)
        else:
            struck, faults = True, fresh(ground).fails_at(calls, error, number)
        tally.add((calls, error or "kill", number), faults, struck=struck)
    assert tally.wrong == [], f"again with KBD_CRASH_SEED={seed}"
