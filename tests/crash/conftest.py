"""Daemons whose system calls are counted, then killed or failed one by one, with strace."""

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kbd.inbox.spool import Spool
from tests.crash.ground import JOB, Ground
from tests.crash.quick_daemons import NoTracing, quick_daemons

# One name may be two calls: libc chooses.
CALLS = (
    *("rename,renameat2", "link,linkat", "unlink,unlinkat", "mkdir", "fsync", "fdatasync"),
    *("write", "pwrite64", "ftruncate", "openat"),
    # What only looks, or cannot leave anything half done: to fail, not to be killed at.
    *("getdents64", "newfstatat", "read", "pread64", "close", "fchmod", "rmdir", "fcntl", "statfs,fstatfs"),
)


def pytest_collection_modifyitems(items):
    """They take minutes, so they run where somebody asks for them."""
    if "KBD_CRASH_POINTS" in os.environ:
        return
    for item in items:
        if item.get_closest_marker("crash") is not None:
            item.add_marker(pytest.mark.skip(reason="set KBD_CRASH_POINTS to some or all"))


def points_of(numbers, most):
    """At which of these calls to strike: some evenly spread, the first and the last included; or all of them.

    Of all, `KBD_CRASH_PART=2/8` is every eighth, from the second on.
    """
    if os.environ.get("KBD_CRASH_POINTS") == "all":
        part, parts = map(int, os.environ.get("KBD_CRASH_PART", "1/1").split("/"))
        return numbers[part - 1 :: parts]
    if len(numbers) <= most:
        return numbers
    if most == 1:
        return [numbers[len(numbers) // 2]]
    return sorted({numbers[round(place * (len(numbers) - 1) / (most - 1))] for place in range(most)})


@dataclass
class Tally:
    """What came of all points."""

    tried: int = 0
    struck: int = 0
    lost: int = 0
    double: int = 0
    wrong: list = field(default_factory=list)

    def add(self, where, faults, *, struck=True):
        self.tried += 1
        self.struck += struck
        self.lost += any(fault.startswith("lost") for fault in faults)
        self.double += any(fault.startswith("double") for fault in faults)
        if faults:
            self.wrong.append((where, faults))

    def __str__(self):
        return f"points tried {self.tried}, struck {self.struck}, lost {self.lost}, double {self.double}"


@pytest.fixture(scope="session")
def spread():
    return points_of


@pytest.fixture
def tally(request, record_property):
    """Counted over a test, shown with it (`pytest -rA`), kept in `KBD_CRASH_REPORT` where that names a file."""
    found = Tally()
    yield found
    record_property("points", str(found))
    print(f"{request.node.name}: {found}")
    if report := os.environ.get("KBD_CRASH_REPORT"):
        with Path(report).open("a") as file:
            line = {"test": request.node.name, **vars(found), "wrong": [str(each) for each in found.wrong]}
            file.write(json.dumps(line) + "\n")


def _template(root, *, real):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    ground = Ground(root, real=real)
    Spool.create(ground.spool.root)
    ground.deliver("old.yaml", JOB)
    code, output = ground.run()
    assert code == 0, output
    ground.claim("first")
    ground.claim("second")
    ground.deliver_all()
    rehearsal = ground.copy(root.with_name(f"{root.name}-counted"))
    try:
        points = rehearsal.points(CALLS)
    except NoTracing as error:
        pytest.skip(f"strace may not trace here: {error}")
    assert rehearsal.faults() == [], "without any fault"
    return ground, points


@pytest.fixture(scope="session")
def quick(tmp_path_factory):
    """A quick daemon's spool before a run, and at which numbers it makes each call."""
    yield _template(tmp_path_factory.mktemp("quick") / "ground", real=False)
    quick_daemons().end()


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """The same of `kbd run --once`."""
    return _template(tmp_path_factory.mktemp("real") / "ground", real=True)


@pytest.fixture
def fresh(tmp_path):
    """A copy of a ground, removed by the next."""

    def make(ground):
        root = tmp_path / "ground"
        shutil.rmtree(root, ignore_errors=True)
        return ground.copy(root)

    return make
