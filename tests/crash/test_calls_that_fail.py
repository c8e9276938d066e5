"""A system call fails once, wherever: the daemon copes, or ends and says why; nothing is lost or there twice.

Points as in test_killed_at_every_call.
"""

from itertools import product

import pytest

pytestmark = pytest.mark.crash

CALLS = (
    *("rename,renameat2", "link,linkat", "unlink,unlinkat", "mkdir", "fsync", "fdatasync"),
    *("write", "pwrite64", "ftruncate", "openat"),
)
LOOKS = ("getdents64", "newfstatat", "read", "pread64", "close", "fchmod", "rmdir", "fcntl", "statfs,fstatfs")
ERRORS = ("ENOSPC", "EIO", "ESTALE", "EACCES")


@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    ("calls", "error"), [*product(CALLS, ERRORS), *product(LOOKS, ("EIO", "ESTALE", "EACCES"))]
)
def test_a_call_that_fails_once_costs_nothing(quick, fresh, spread, tally, calls, error):
    ground, points = quick
    for number in spread(points[calls], 1):
        tally.add((calls, error, number), fresh(ground).fails_at(calls, error, number))
    assert tally.wrong == []
