"""Whatever is done to the store in whatever order, it remembers what a simple table would."""

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kbd.store.engine import migrate, open_writer
from kbd.store.errors import IllegalTransition, UnknownJob
from kbd.store.jobs import JobStore
from kbd.store.location import database_path
from kbd.store.new_job import AddOutcome, NewJob, RejectedJob
from kbd.store.readers import JobReader
from kbd.store.sqlite_file import open_reader
from kbd.store.states import FINAL, RUNNING, TRANSITIONS, JobState

IDS = st.sampled_from([f"j{number}" for number in range(6)])
DIGESTS = st.sampled_from(["a" * 64, "b" * 64])
OWNERS = st.sampled_from(["", "ann", "bob"])
JOBS = st.tuples(IDS, DIGESTS, OWNERS, st.integers(-1, 1), st.dictionaries(st.sampled_from("kl"), OWNERS))
STATES = st.sampled_from(JobState)


@dataclass
class Remembered:
    sequence: int
    digest: str | None
    owner: str
    priority: int
    labels: dict[str, str]
    state: JobState = JobState.SUBMITTED
    status: str | None = None
    attempts: int = 0
    result: str | None = None
    published: bool = False


class StoreMachine(RuleBasedStateMachine):
    """The store beside a dict that is told the same."""

    template: Path

    @initialize()
    def start(self):
        self.folder = Path(tempfile.mkdtemp(prefix="kbd-store-"))
        shutil.copy(self.template, database_path(self.folder))
        self.engine = open_writer(self.folder)
        self.store = JobStore(self.engine)
        self.jobs: dict[str, Remembered] = {}

    def teardown(self):
        if hasattr(self, "engine"):
            self.engine.dispose()
            shutil.rmtree(self.folder)

    def admit(self, job_id, remembered):
        known = self.jobs.setdefault(job_id, remembered)
        if known is remembered:
            return AddOutcome.ADDED
        if known.digest != remembered.digest:
            return AddOutcome.CONFLICT
        known.published = False
        return AddOutcome.SAME

    @rule(batch=st.lists(JOBS, max_size=4))
    def add(self, batch):
        new = [
            NewJob(
                job_id=job_id,
                manifest_sha256=digest,
                manifest_text=digest,
                claimed_path=job_id,
                owner=owner,
                priority=priority,
                labels=labels,
            )
            for job_id, digest, owner, priority, labels in batch
        ]
        expected = [self.admit(job_id, Remembered(len(self.jobs), *rest)) for job_id, *rest in batch]
        assert self.store.add(new) == expected

    @rule(job_id=IDS, digest=st.none() | DIGESTS)
    def add_rejected(self, job_id, digest):
        refusal = RejectedJob(job_id=job_id, manifest_sha256=digest, result_text="no", error_message="bad")
        remembered = Remembered(len(self.jobs), digest, "", 0, {}, JobState.REJECTED, "invalid_job", 0, "no")
        assert self.store.add_rejected(refusal) == self.admit(job_id, remembered)

    @rule(job_id=IDS, state=STATES)
    def begin(self, job_id, state):
        job = self.jobs.get(job_id)
        if job is None or job.state is not JobState.SUBMITTED or state not in RUNNING:
            with pytest.raises(UnknownJob if job is None else IllegalTransition):
                self.store.begin_attempt(job_id, "cpu", state)
            return
        job.attempts += 1
        job.state = state
        assert self.store.begin_attempt(job_id, "cpu", state) == job.attempts

    @rule(job_id=IDS, state=STATES)
    def advance(self, job_id, state):
        job = self.jobs.get(job_id)
        if job is not None and job.state in FINAL:
            assert self.store.advance(job_id, state) is False
            return
        if job is None or {job.state, state} - RUNNING or state not in TRANSITIONS[job.state] | {job.state}:
            with pytest.raises(UnknownJob if job is None else IllegalTransition):
                self.store.advance(job_id, state)
            return
        job.state = state
        assert self.store.advance(job_id, state) is True

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def requeue(self, data):
        job_id = data.draw(st.sampled_from(sorted(self.jobs)))
        job = self.jobs[job_id]
        if job.state in RUNNING:
            job.state = JobState.SUBMITTED
        assert self.store.requeue(job_id, "put back") is (job.state not in FINAL)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), state=st.sampled_from(sorted(FINAL)))
    def finish(self, data, state):
        job_id = data.draw(st.sampled_from(sorted(self.jobs)))
        job = self.jobs[job_id]
        first = job.state not in FINAL
        if first:
            job.state, job.status, job.result = state, f"as {state}", f"result {state}"
        assert self.store.finish(job_id, state, f"result {state}", f"as {state}") is first

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def mark_published(self, data):
        job_id = data.draw(st.sampled_from(sorted(self.jobs)))
        job = self.jobs[job_id]
        if job.state not in FINAL:
            with pytest.raises(IllegalTransition):
                self.store.mark_published(job_id)
            return
        job.published = True
        self.store.mark_published(job_id)

    @rule(exclude=st.sets(IDS), limit=st.integers(0, 7))
    def next_submitted(self, exclude, limit):
        queued = {job_id: job for job_id, job in self.jobs.items() if job.state is JobState.SUBMITTED}
        turns = Counter(job.owner for job in self.jobs.values() if job.state in RUNNING)
        turns.update(job.owner for job_id, job in queued.items() if job_id in exclude)
        waiting = sorted((job.sequence, job_id) for job_id, job in queued.items() if job_id not in exclude)
        places = []
        seen: Counter[tuple[int, str]] = Counter()
        for sequence, job_id in waiting:
            group = queued[job_id].priority, queued[job_id].owner
            places.append((-group[0], turns[group[1]] + seen[group], sequence, job_id))
            seen[group] += 1
        expected = [job_id for *_, job_id in sorted(places)][:limit]
        assert [row.job_id for row in self.store.next_submitted(limit, exclude)] == expected

    @rule()
    def restart(self):
        self.engine.dispose()
        self.engine = open_writer(self.folder)
        migrate(self.engine)
        self.store = JobStore(self.engine)

    @invariant()
    def same_jobs(self):
        if not hasattr(self, "jobs"):
            return
        with open_reader(self.folder) as source:
            reader = JobReader(source)
            latest_first = sorted(self.jobs, key=lambda job_id: -self.jobs[job_id].sequence)
            assert [row.job_id for row in reader.list()] == latest_first
            for row in reader.list():
                job = self.jobs[row.job_id]
                found = (
                    row.owner,
                    row.priority,
                    row.labels,
                    row.state,
                    row.status,
                    row.attempts,
                    row.published,
                )
                told = (
                    job.owner,
                    job.priority,
                    job.labels,
                    job.state,
                    job.status,
                    job.attempts,
                    job.published,
                )
                assert found == told
                detail = reader.get(row.job_id)
                assert (detail.manifest_sha256, detail.result_text) == (job.digest, job.result)
                assert len(detail.history) == job.attempts
            counts = Counter(job.state for job in self.jobs.values())
            assert reader.counts() == {state: counts[state] for state in JobState}
            assert reader.status_counts() == Counter(job.status for job in self.jobs.values() if job.status)

    @invariant()
    def same_duties(self):
        if not hasattr(self, "jobs"):
            return
        in_order = sorted(self.jobs.items(), key=lambda item: item[1].sequence)
        owed = [job_id for job_id, job in in_order if job.state in FINAL and not job.published]
        assert [row.job_id for row in self.store.unpublished()] == owed
        running = [job_id for job_id, job in in_order if job.state in RUNNING]
        assert [row.job_id for row in self.store.running()] == running


def test_store_against_a_dict(empty_database):
    class Machine(StoreMachine):
        template = empty_database

    Machine.TestCase.settings = settings(
        max_examples=25,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    Machine.TestCase().runTest()
