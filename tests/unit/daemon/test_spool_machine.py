"""Whatever happens to a spool in whatever order, each delivered id gets one result, which never changes.

Two hosts with a database each; one owns the spool. Files, locks and databases are real; only judging is not done.
"""

import errno
import os
import shutil
import tempfile
from functools import partial
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kbd.daemon import desk as desk_module
from kbd.daemon.assembly import JobIdentity, refused
from kbd.daemon.claimant import claimant
from kbd.daemon.config import Limits, Settings
from kbd.daemon.desk import open_desk
from kbd.inbox import durable, strays
from kbd.inbox.epoch import EpochLost
from kbd.inbox.lease import find_lease, take_lease
from kbd.inbox.scanner import Scanner
from kbd.inbox.spool import Spool
from kbd.outbox.report import ErrorReport
from kbd.outbox.result import JobResult
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage
from kbd.store.location import database_path
from kbd.store.states import FINAL, JobState

NAMES = st.sampled_from("abcd")
TEXTS = st.sampled_from(
    [
        "version: 1\ncandidate: {kernel_type: torch, source_code: 'def f(x): return x'}\n",
        "version: 1\ncandidate: {kernel_type: torch, source_code: 'def f(x): return 2 * x'}\n",
        "version: 1\ncandidate: 3\n",
    ]
)
OWNERS = st.sampled_from([None, "bob"])
MANY = Limits(max_attempts=1000)


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def verdict(row, word):
    return refused(
        JobIdentity(row.job_id, row.manifest_sha256 or "", 1, {}),
        EvaluationStatus.UNSUPPORTED,
        Blame.JOB,
        Stage.LOAD,
        ErrorReport(type="Unsupported", message=word),
    ).to_json()


class SpoolMachine(RuleBasedStateMachine):
    """A spool beside what is known of it: the ids that were delivered, and the results that were seen."""

    template: Path

    @initialize()
    def start(self):
        self.root = Path(tempfile.mkdtemp(prefix="kbd-spool-"))
        self.spool = Spool.create(self.root / "spool")
        self.hosts = []
        for name in ("near", "far"):
            state = self.root / name
            state.mkdir()
            shutil.copy(self.template, database_path(state))
            self.hosts.append(Settings(spool=self.spool.root, state=state, limits=MANY))
        self.delivered, self.seen, self.hints, self.is_full, self.number = set(), {}, [], False, 0
        self.own(0)

    def teardown(self):
        if hasattr(self, "desk"):
            try:
                self.settle()
            finally:
                self.desk.close()
                shutil.rmtree(self.root)

    def own(self, host):
        """Become the owner, as after a silence of the one before."""
        limits = self.hosts[host]
        me = claimant(limits.state, limits.limits.lease_s)
        with mock.patch.object(desk_module, "Scanner", partial(Scanner, settle_s=0.0)):
            self.desk = open_desk(limits, self.spool, take_lease(self.spool, me, find_lease(self.spool)))
        self.desk.take_in.put_off.again_s = 0.0
        self.host = host

    def attempt(self, verb, *arguments):
        """Something that a full disk may prevent, as in the service: it is tried again later."""
        with mock.patch.object(durable, "_write_all", full if self.is_full else durable._write_all):
            try:
                return verb(*arguments)
            except OSError:
                assert self.is_full
                return None

    @rule(name=NAMES, text=TEXTS, owner=OWNERS)
    def submit(self, name, text, owner):
        folder = self.spool.inbox / (owner or "")
        folder.mkdir(exist_ok=True)
        hidden = folder / f".{name}.tmp"
        hidden.write_text(text)
        self.hints.append(hidden.rename(folder / f"{name}.yaml"))
        self.delivered.add(name)

    @rule(name=NAMES, text=TEXTS)
    def copy(self, name, text):
        (self.spool.inbox / f"{name}.yaml").write_text(text)
        self.delivered.add(name)

    @rule()
    def claim(self):
        hints, self.hints = self.hints, []
        self.attempt(self.desk.take_in.round, hints)

    @rule()
    def begin(self):
        for row in self.desk.store.next_submitted(1):
            self.desk.store.begin_attempt(row.job_id, "cpu0", JobState.COMPILING)

    @rule()
    def end(self):
        for row in self.desk.store.running()[:1]:
            self.number += 1
            self.desk.store.finish(
                row.job_id, JobState.COMPLETED, verdict(row, f"verdict {self.number}"), "unsupported"
            )

    @rule(name=NAMES)
    def cancel(self, name):
        row = self.desk.store.get(name)
        if row is None:
            return
        final, result = row.state in FINAL, row.result_text
        first = self.desk.store.finish(name, JobState.CANCELLED, verdict(row, "cancelled"), "unsupported")
        assert first is not final
        assert not final or self.desk.store.get(name).result_text == result

    @rule()
    def publish(self):
        self.attempt(self.desk.publishing.publish_owed)

    @precondition(lambda self: not self.is_full)
    @rule()
    def kill_and_restart(self):
        self.desk.engine.dispose()
        self.own(self.host)

    @precondition(lambda self: not self.is_full)
    @rule()
    def take_over(self):
        former = self.desk
        self.own(1 - self.host)
        rows = former.store.next_submitted(1)
        for row in rows:  # it wakes, and does not know yet
            former.store.finish(row.job_id, JobState.COMPLETED, verdict(row, "too late"), "unsupported")
        if former.store.unpublished():
            with pytest.raises(EpochLost):
                former.publishing.publish_owed()
        with pytest.raises(EpochLost):
            former.lease.require()
        former.close()

    @precondition(lambda self: not self.is_full)
    @rule(name=NAMES, text=TEXTS)
    def take_over_from_one_that_claims_by_a_handle(self, name, text):
        """As NFS lets a daemon do that was paused after it had looked its folder up."""
        self.submit("a", text, None)  # a folder that holds nothing is gone when it is taken over
        self.claim()
        handle = os.open(self.desk.lease.epoch_folder, os.O_RDONLY | os.O_DIRECTORY)
        self.take_over()
        hidden = self.spool.inbox / ".late.tmp"
        hidden.write_text(text)
        try:
            if f"{name}.yaml" not in os.listdir(handle):
                os.rename(hidden, f"{name}.yaml", dst_dir_fd=handle)
                self.delivered.add(name)
        except FileNotFoundError:
            return  # the folder was empty, so that it is gone
        finally:
            os.close(handle)
        self.claim()
        # Known at once, or put apart at once: then the outbox has had a result of that id.
        assert self.desk.store.get(name) is not None or (self.spool.outbox / f"{name}.json").exists()

    @rule()
    def disk_fills_or_empties(self):
        self.is_full = not self.is_full

    @invariant()
    def results_stay(self):
        if not hasattr(self, "desk"):
            return
        found = {
            path.stem: (path.stat().st_ino, path.read_text()) for path in self.spool.outbox.glob("*.json")
        }
        assert found.items() >= self.seen.items()
        assert found.keys() <= self.delivered
        self.seen = found

    def settle(self):
        """Once all is well again and everybody has had his turn, nothing is owed to anybody."""
        self.is_full = False
        for host in (self.host, 1 - self.host, self.host):
            self.work_through()
            self.desk.close()
            self.own(host)
        self.work_through()
        self.results_stay()
        assert self.seen.keys() == self.delivered
        for _, text in self.seen.values():
            JobResult.from_json(text)
        assert [path for path in self.spool.inbox.rglob("*.yaml") if path.is_file()] == []
        assert self.desk.store.running() == self.desk.store.unpublished() == []

    def work_through(self):
        while self.desk.take_in.round([]).any:
            pass
        while self.desk.store.queued() or self.desk.store.running():
            self.begin()
            self.end()
        while self.desk.publishing.publish_owed():
            pass
        assert [path for path in self.spool.claimed.rglob("*") if path.is_file()] == []
        self.results_stay()
        for name, (_, text) in self.seen.items():
            self.told_as_published(name, text)

    def told_as_published(self, name, text):
        """No database tells of a job anything else than the outbox."""
        row = self.desk.store.get(name)
        if row is not None and row.manifest_sha256 == JobResult.from_json(text).manifest_sha256:
            assert row.result_text == text


@pytest.mark.timeout(600)
def test_every_delivery_has_one_result_whatever_happens(migrated_database):
    class Machine(SpoolMachine):
        template = migrated_database

    Machine.TestCase.settings = settings(
        max_examples=20, stateful_step_count=30, suppress_health_check=list(HealthCheck)
    )
    with mock.patch.object(strays, "LOOK_INTERVAL_S", 0.0):
        Machine.TestCase().runTest()
