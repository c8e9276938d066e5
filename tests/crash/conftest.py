"""Daemons whose system calls are counted, then killed or failed one by one, with strace."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kbd.daemon.claimant import claimant
from kbd.daemon.config import Settings
from kbd.daemon.desk import open_desk
from kbd.inbox.lease import find_lease, take_lease
from kbd.inbox.spool import Spool, jobs_under
from kbd.outbox.result import JobResult
from kbd.store.readers import JobReader
from kbd.store.sqlite_file import open_reader
from kbd.store.states import FINAL, JobState

LIMIT_S = 120
QUICK_DAEMON = Path(__file__).parent / "quick_daemon.py"

# One name may be two calls: libc chooses.
CALLS = ("rename,renameat2", "link,linkat", "unlink,unlinkat", "mkdir", "fsync", "fdatasync")
WRITES = ("write", "pwrite64", "ftruncate")

JOB = (Path(__file__).parents[1] / "double.yaml").read_text()
EXPECTED = {
    "old": "passed",
    "first": "passed",
    "second": "passed",
    "a": "passed",
    "b": "passed",
    "c": "passed",
    "bad": "invalid_job",
}


def pytest_collection_modifyitems(items):
    """They take minutes, so they run where somebody asks for them."""
    if "KBD_CRASH_POINTS" in os.environ:
        return
    for item in items:
        if item.get_closest_marker("crash") is not None:
            item.add_marker(pytest.mark.skip(reason="set KBD_CRASH_POINTS to some or all"))


def points_of(count, most):
    """At which of so many calls to strike: all of them, or some evenly spread, the first and the last included."""
    if os.environ.get("KBD_CRASH_POINTS") == "all" or count <= most:
        return list(range(1, count + 1))
    if most == 1:
        return [(count + 1) // 2]
    return sorted({1 + round(place * (count - 1) / (most - 1)) for place in range(most)})


@dataclass
class Ground:
    """A spool and a state folder in which something happens to a daemon."""

    root: Path
    real: bool = False

    def __post_init__(self):
        self.spool = Spool(self.root / "spool")
        self.state = self.root / "state"

    def command(self):
        places = [str(self.spool.root), str(self.state)]
        if not self.real:
            return [sys.executable, str(QUICK_DAEMON), *places]
        named = ["--spool", places[0], "--state", places[1], "--device", "cpu"]
        return [sys.executable, "-m", "kbd.daemon.cli.main", "run", "--once", *named]

    def run(self, *tracing):
        """A daemon until it ends, under strace if so told. Returns how it ended and what it said."""
        before = ["strace", "-f", "-qq", *tracing] if tracing else []
        ended = subprocess.run(
            [*before, *self.command()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT_S,
            check=False,
            text=True,
            errors="replace",
        )
        return ended.returncode, ended.stdout

    def count(self, calls):
        """How often each call is made by the thread that makes it most often, in a run that nothing happens to."""
        record = self.root / "record"
        code, output = self.run("-o", str(record), "-e", f"trace={','.join(calls)}")
        assert code == 0, output
        made = Counter(re.findall(r"^(\d+) +(\w+)\(", record.read_text(errors="replace"), re.MULTILINE))
        most = Counter()
        for (_thread, call), number in made.items():
            most[call] = max(most[call], number)
        return {names: max(most[name] for name in names.split(",")) for names in calls}

    def inject(self, calls, what):
        return self.run("-o", os.devnull, "-e", f"trace={calls}", "-e", f"inject={calls}:{what}")

    def deliver(self, name, text, owner=None):
        folder = self.spool.inbox / (owner or "")
        folder.mkdir(exist_ok=True)
        hidden = folder / f".{name}.tmp"
        hidden.write_text(text)
        hidden.rename(folder / name)

    def deliver_all(self):
        """Jobs of every kind: at the top, an owner's, a folder, one that was done before, one that is none."""
        self.deliver("a.yaml", JOB)
        self.deliver("b.yaml", JOB, owner="bob")
        hidden = self.spool.inbox / ".c.tmp"
        hidden.mkdir()
        (hidden / "job.yaml").write_text(JOB)
        hidden.rename(self.spool.inbox / "c.job")
        self.deliver("old.yaml", JOB)
        self.deliver("bad.yaml", "version: 1\ncandidate: 3\n")

    def claim(self, name):
        """Have a job claimed, and its first attempt begun, by a daemon that dies then."""
        settings = Settings(spool=self.spool.root, state=self.state)
        me = claimant(self.state, settings.limits.lease_s)
        desk = open_desk(settings, self.spool, take_lease(self.spool, me, find_lease(self.spool)))
        self.deliver(f"{name}.yaml", JOB)
        desk.take_in.round([self.spool.inbox / f"{name}.yaml"])
        desk.store.begin_attempt(name, "cpu0", JobState.COMPILING)
        desk.close()

    def published(self):
        """The inode of every result."""
        return {path.stem: path.stat().st_ino for path in self.spool.outbox.glob("*.json")}

    def faults(self, published_before=None):
        """All that is wrong now that a daemon has ended and said that all is done."""
        return [
            *self._faults_of_results(published_before or {}),
            *self._faults_of_history(),
            *self._faults_of_files(),
        ]

    def _faults_of_results(self, before):
        results = {
            path.stem: JobResult.from_json(path.read_text()).status.value
            for path in self.spool.outbox.glob("*.json")
        }
        if results != EXPECTED:
            yield f"lost: expected {EXPECTED}, found {results}"
        again = [name for name, inode in self.published().items() if before.get(name, inode) != inode]
        if again:
            yield f"double: published again: {again}"

    def _faults_of_history(self):
        with open_reader(self.state) as source:
            rows = JobReader(source).list()
        if sorted(row.job_id for row in rows) != sorted(EXPECTED):
            yield f"lost: rows of {[row.job_id for row in rows]}"
        for row in rows:
            if row.state not in FINAL or not row.published:
                yield f"{row.job_id} is {row.state}, published: {row.published}"
            if row.status != EXPECTED.get(row.job_id):
                yield f"{row.job_id} is {row.status} in the database"

    def _faults_of_files(self):
        spool = self.spool
        for folder in (spool.inbox, spool.claimed):
            if left := [str(path.relative_to(spool.root)) for path in folder.rglob("*") if path.is_file()]:
                yield f"left behind: {left}"
        done = sorted(job.path.name for day in spool.done.iterdir() for job in jobs_under(day))
        if sorted(set(done)) != ["a.yaml", "b.yaml", "c.job", "first.yaml", "old.yaml", "second.yaml"]:
            yield f"lost: done/ holds {done}"
        temporary = [spool.lease, spool.outbox_tmp, spool.quarantine, spool.control, spool.answers]
        if left := [
            path.name for folder in temporary for path in folder.iterdir() if path.name.startswith(".")
        ]:
            yield f"temporary files: {left}"
        if held := [path.name for path in spool.lease.iterdir()]:
            yield f"a lease is held: {held}"
        refused = {path.name for path in spool.quarantine.iterdir()}
        if refused != {"bad.yaml", "bad.yaml.reason.json"}:
            yield f"quarantine holds {sorted(refused)}"


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
        self.lost += any("lost" in fault for fault in faults)
        self.double += any("double" in fault for fault in faults)
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
    rehearsal = copy_of(ground, root.with_name(f"{root.name}-counted"))
    try:
        counted = rehearsal.count((*CALLS, *WRITES))
    except AssertionError as error:
        if "Operation not permitted" in str(error):
            pytest.skip("strace may not trace here")
        raise
    assert rehearsal.faults() == [], "without any fault"
    return ground, counted


def copy_of(ground, root):
    """The same once more. Links stay links, so that nothing is shared with the first."""
    shutil.copytree(ground.root, root, symlinks=True, ignore=shutil.ignore_patterns("record", "work"))
    return Ground(root, real=ground.real)


@pytest.fixture(scope="session")
def quick(tmp_path_factory):
    """A quick daemon's spool before a run, and how often that run makes each call."""
    return _template(tmp_path_factory.mktemp("quick") / "ground", real=False)


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
        return copy_of(ground, root)

    return make
