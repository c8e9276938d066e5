"""Spools on which daemons are killed, or have a system call fail, and what may be found there afterwards."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from kbd.daemon.claimant import claimant
from kbd.daemon.config import Settings
from kbd.daemon.desk import open_desk
from kbd.inbox.lease import find_lease, take_lease
from kbd.inbox.spool import Spool, jobs_under
from kbd.outbox.result import JobResult
from kbd.store.readers import JobReader
from kbd.store.sqlite_file import open_reader
from kbd.store.states import FINAL, JobState
from tests.crash.quick_daemons import LIMIT_S, quick_daemons

KILLED = -signal.SIGKILL
# What may end a daemon, as its last words: all of it is told to users as a message.
SAID = re.compile(
    r"(OSError|PermissionError|FileNotFoundError|SpoolUnfit|SpoolMissing|StoreUnavailable)\b.*: .+"
)

# Others make these calls too, asyncio on its pipes: they are counted, and fail, on files of the database alone.
OF_DATABASE = ("fcntl",)

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


@dataclass
class Ground:
    """A spool and a state folder in which something happens to a daemon."""

    root: Path
    real: bool = False

    def __post_init__(self):
        self.spool = Spool(self.root / "spool")
        self.state = self.root / "state"

    def run(self, *tracing):
        """A daemon until it ends, under strace if so told. Returns how it ended and what it said."""
        if not self.real:
            return quick_daemons().run(self, tracing)
        places = ["--spool", self.spool.root, "--state", self.state]
        daemon = [sys.executable, "-m", "kbd.daemon.cli.main", "run", "--once", *places, "--device", "cpu"]
        ended = subprocess.run(
            [*(["strace", "-f", "-qq", *tracing] if tracing else []), *daemon],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT_S,
            check=False,
            text=True,
            errors="replace",
        )
        return ended.returncode, ended.stdout

    def points(self, calls):
        """At which numbers a thread makes each of these calls on files of ours, in a run that nothing happens to.

        The thread is the one that makes most of them: the clerk, but for a few.
        """
        record = self.root / "record"
        code, output = self.run("-y", "-o", str(record), "-e", f"trace={','.join(calls)}")
        assert code == 0, output
        made, ours = Counter(), defaultdict(list)
        for line in record.read_text(errors="replace").splitlines():
            if match := re.match(r"(\d+) +(\w+)\(", line):
                if match[2] in OF_DATABASE and f"{self.state}/kbd.db" not in line:
                    continue
                made[match.groups()] += 1
                if self.is_ours(line):
                    ours[match.groups()].append(made[match.groups()])
        return {
            names: max((ours[key] for key in ours if key[1] in names.split(",")), key=len) for names in calls
        }

    def is_ours(self, line):
        """Whether a call is about a file of the spool or the database, rather than a log or a library."""
        return str(self.spool.root) in line or f"{self.state}/kbd.db" in line

    def inject(self, calls, what):
        files = [f"{self.state}/kbd.db{ending}" for ending in ("", "-wal", "-shm")]
        of_files = [word for file in files for word in ("-P", file)] if calls in OF_DATABASE else []
        return self.run("-o", os.devnull, *of_files, "-e", f"trace={calls}", "-e", f"inject={calls}:{what}")

    def copy(self, root):
        """The same once more. Links stay links, so that nothing is shared with the first."""
        shutil.copytree(self.root, root, symlinks=True, ignore=shutil.ignore_patterns("record", "work"))
        return Ground(root, real=self.real)

    def killed_at(self, calls, number):
        """kill -9 before a call, then a restart. Whether it came to that, and all that is wrong."""
        code, output = self.inject(calls, f"signal=KILL:when={number}")
        before = self.published()
        after, words = self.run()
        faults = (
            self.faults(before) if after == 0 else [f"lost: the restart ended with {after}: {words[-2000:]}"]
        )
        if code not in (0, KILLED):
            faults.append(f"ended with {code}: {output[-2000:]}")
        return code == KILLED, faults

    def fails_at(self, calls, error, number):
        """A call fails once: the daemon copes, or says why not and is started again. All that is wrong."""
        code, output = self.inject(calls, f"error={error}:when={number}")
        before = self.published()
        if code == 0:
            faults = self.faults()
            if faults and all(fault.startswith("temporary files") for fault in faults):
                self.run()  # what could not be removed is removed by the next daemon
                return self.faults(before)
            return faults
        after, words = self.run()
        faults = (
            self.faults(before) if after == 0 else [f"lost: the next ended with {after}: {words[-2000:]}"]
        )
        if SAID.search(output.strip().rpartition("\n")[2]) is None:
            faults.append(f"ended with {code}: {output[-2000:]}")
        return faults

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
        days = [path for path in spool.done.iterdir() if path.is_dir()]  # else: what could not be removed
        done = sorted(job.path.name for day in days for job in jobs_under(day))
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
