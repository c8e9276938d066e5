"""A system call fails once, wherever: the daemon copes, or ends and says why; nothing is lost or there twice.

Points as in test_killed_at_every_call; without KBD_CRASH_POINTS=all each call fails with one error only.
"""

import os
import re

import pytest

pytestmark = pytest.mark.crash

CALLS = (
    "rename,renameat2",
    "link,linkat",
    "unlink,unlinkat",
    "mkdir",
    "fsync",
    "fdatasync",
    "pwrite64",
    "ftruncate",
)
ERRORS = ("ENOSPC", "EIO", "ESTALE", "EACCES")
# What may end a daemon, as its last words: all of it is told to users as a message.
SAID = re.compile(
    r"(OSError|PermissionError|FileNotFoundError|SpoolUnfit|SpoolMissing|StoreUnavailable)\b.*: .+"
)


def fails_at(ground, calls, error, number, tally):
    code, output = ground.inject(calls, f"error={error}:when={number}")
    if code == 0:
        tally.add((calls, error, number), ground.faults())
        return
    before = ground.published()
    after, words = ground.run()
    faults = ground.faults(before) if after == 0 else [f"lost: the next ended with {after}: {words[-2000:]}"]
    if SAID.search(output.strip().rpartition("\n")[2]) is None:
        faults.append(f"ended with {code}: {output[-2000:]}")
    tally.add((calls, error, number), faults)


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("calls", CALLS)
def test_a_call_that_fails_once_costs_nothing(quick, fresh, spread, tally, calls):
    ground, counted = quick
    place = CALLS.index(calls)
    everything = os.environ.get("KBD_CRASH_POINTS") == "all"
    for error in ERRORS if everything else (ERRORS[place % len(ERRORS)],):
        for number in spread(counted[calls], 1):
            fails_at(fresh(ground), calls, error, number, tally)
    assert tally.wrong == []
