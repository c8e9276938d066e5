"""The memory of the daemon: every change of a job's life, each in one transaction.

Only the daemon writes. Whoever is first decides: once a job is final, later changes answer False and change
nothing (a cancel that arrives while a job finishes, a result that arrives after a cancel).
"""

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Select, func, select, text

from kbd.store import job_table
from kbd.store.engine import transaction
from kbd.store.errors import IllegalTransition
from kbd.store.history import History, forget_some
from kbd.store.job_table import Standing, shortened
from kbd.store.models import OWED, Job
from kbd.store.new_job import AddOutcome, NewJob, RejectedJob
from kbd.store.queue import NOBODY, next_in_line
from kbd.store.rows import AttemptRow, JobRow
from kbd.store.states import FINAL, RUNNING, JobState, require_transition


class JobStore:
    """The single writer. Every method is one transaction, durable when it returns.

    Raises, from every method:
        StoreUnavailable: locked, full, read-only; nothing was changed, try again later.
        StoreCorrupt: the file is damaged.
        UnknownJob: from methods about one job.
    """

    def __init__(self, engine: Engine, *, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock

    def add(self, new_jobs: Sequence[NewJob]) -> list[AddOutcome]:
        """Remember claimed jobs, all or none; one outcome for each, in their order."""
        with self._transaction() as connection:
            known = job_table.known_digests(connection, [job.job_id for job in new_jobs])
            outcomes = [job_table.admit(known, job.job_id, job.manifest_sha256) for job in new_jobs]
            paired = tuple(zip(new_jobs, outcomes, strict=True))
            added = [job for job, outcome in paired if outcome is AddOutcome.ADDED]
            same = [job.job_id for job, outcome in paired if outcome is AddOutcome.SAME]
            job_table.insert_jobs(connection, added, self._clock())
            job_table.owe_again(connection, same)
            return outcomes

    def add_rejected(self, rejected: RejectedJob) -> AddOutcome:
        """Remember a refusal together with its result, which is owed to the outbox from then on."""
        with self._transaction() as connection:
            known = job_table.known_digests(connection, [rejected.job_id])
            outcome = job_table.admit(known, rejected.job_id, rejected.manifest_sha256)
            if outcome is AddOutcome.ADDED:
                job_table.insert_rejected(connection, rejected, self._clock())
            elif outcome is AddOutcome.SAME:
                job_table.owe_again(connection, [rejected.job_id])
            return outcome

    def next_submitted(
        self,
        limit: int,
        exclude: Collection[str] = (),
        resting: Collection[str] = (),
        served: Mapping[str, int] = NOBODY,
    ) -> list[JobRow]:
        """The queued jobs to start next, best first: priority, then fair between owners, then arrival.

        Args:
            limit: how many at most.
            exclude: ids of jobs that somebody has taken and not yet begun; they use up turns of their owners.
            resting: ids of jobs that are to wait; they are left out as if they were not there.
            served: when owners had their last turns, as rising numbers; who is not named waits longest.
        """
        with self._transaction() as connection:
            line = next_in_line(connection, limit, frozenset(exclude), frozenset(resting), served)
            rows = job_table.job_rows(connection, job_table.jobs_by_sequence(), sequences=line)
        place = {sequence: index for index, sequence in enumerate(line)}
        return sorted(rows, key=lambda row: place[row.sequence])

    def begin_attempt(self, job_id: str, device: str, state: JobState) -> int:
        """Count an attempt, BEFORE its process is started: a job that kills the host must be counted.

        Returns the attempt's number, from 1. Raises IllegalTransition unless the job is queued (it may have
        been cancelled meanwhile) and `state` is a running one.
        """
        with self._change(job_id) as (connection, job):
            if job.state is not JobState.SUBMITTED or state not in RUNNING:
                raise IllegalTransition(
                    f"job {job_id} is {job.state}: an attempt begins only with a submitted job "
                    f"and a running state, not {state}"
                )
            number, now = job.attempts + 1, self._clock()
            beginning = {"attempts": number, "device": device, "started_at": now}
            job_table.change_state(connection, job, state, beginning)
            attempt = {"number": number, "device": device, "state": state, "started_at": now}
            job_table.insert_attempt(connection, job.sequence, attempt)
            return number

    def place(self, job_id: str, device: str) -> None:
        """Note the device that a running job got, after its attempt had begun without one."""
        with self._change(job_id) as (connection, job):
            job_table.update_job(connection, job.sequence, {"device": device})
            job_table.update_attempt(connection, job, {"device": device})

    def record_pid(self, job_id: str, pid: int) -> None:
        """Note the process that works for the current attempt."""
        with self._change(job_id) as (connection, job):
            job_table.update_attempt(connection, job, {"pid": pid})

    def advance(self, job_id: str, state: JobState) -> bool:
        """Move a running job to another running state; to the one it is in is fine and changes nothing."""
        with self._change(job_id) as (connection, job):
            if job.state in FINAL:
                return False
            if job.state not in RUNNING or state not in RUNNING:
                raise IllegalTransition(
                    f"job {job_id} is {job.state} and cannot advance to {state}: expected running "
                    "states; begin_attempt, requeue and finish lead into and out of them"
                )
            if state is not job.state:
                require_transition(job_id, job.state, state)
                job_table.change_state(connection, job, state)
                job_table.update_attempt(connection, job, {"state": state})
            return True

    def requeue(self, job_id: str, reason: str) -> bool:
        """Put a running job back into the queue; one that is queued stays so. Its attempt stays counted."""
        with self._change(job_id) as (connection, job):
            if job.state in RUNNING:
                job_table.change_state(connection, job, JobState.SUBMITTED)
                ending = {"finished_at": self._clock(), "outcome": shortened(reason)}
                job_table.update_attempt(connection, job, ending)
            return job.state not in FINAL

    def relocate(self, job_id: str, claimed_path: str) -> None:
        """Note that the claimed file of a job lies elsewhere now (taken over, or moved to done)."""
        with self._change(job_id) as (connection, job):
            job_table.update_job(connection, job.sequence, {"claimed_path": claimed_path})

    def finish(
        self,
        job_id: str,
        state: JobState,
        result_text: str,
        status: str,
        *,
        stage: str | None = None,
        blame: str | None = None,
        speedup: float | None = None,
        error_message: str | None = None,
    ) -> bool:
        """Make a job final and owe its result to the outbox. Returns False if it was final before.

        Raises IllegalTransition if `state` is not a final one.
        """
        if state not in FINAL:
            raise IllegalTransition(f"job {job_id} cannot finish as {state}: expected one of {sorted(FINAL)}")
        with self._change(job_id) as (connection, job):
            if job.state in FINAL:
                return False
            require_transition(job_id, job.state, state)
            now = self._clock()
            verdict = {"status": status, "stage": stage, "blame": blame, "speedup": speedup}
            ending = {"error_message": shortened(error_message), "finished_at": now, "published": False}
            job_table.change_state(connection, job, state, verdict | ending)
            job_table.insert_result(connection, job.sequence, result_text)
            if job.state in RUNNING:
                job_table.update_attempt(connection, job, {"finished_at": now, "outcome": status})
            return True

    def adopt(
        self,
        job_id: str,
        state: JobState,
        result_text: str,
        status: str,
        *,
        stage: str | None = None,
        blame: str | None = None,
        speedup: float | None = None,
        error_message: str | None = None,
    ) -> None:
        """Give a final job another result in place of its own: one that was published before.

        Raises IllegalTransition for a job that is not final, or if `state` is not.
        """
        with self._change(job_id) as (connection, job):
            if job.state not in FINAL or state not in FINAL:
                raise IllegalTransition(f"job {job_id} is {job.state} and cannot adopt a result as {state}")
            verdict = {"status": status, "stage": stage, "blame": blame, "speedup": speedup}
            job_table.recount(connection, job, state, status)
            ending = {"state": state, "error_message": shortened(error_message)}
            job_table.update_job(connection, job.sequence, verdict | ending)
            job_table.update_result(connection, job.sequence, result_text)

    def mark_published(self, job_id: str, filed_path: str | None = None) -> None:
        """The result lies in the outbox, and the job's own file at `filed_path` (None: where it was).

        Raises IllegalTransition for a job without result.
        """
        with self._change(job_id) as (connection, job):
            if job.state not in FINAL:
                raise IllegalTransition(f"job {job_id} is {job.state}: it has no result to publish yet")
            moved = {} if filed_path is None else {"claimed_path": filed_path}
            job_table.update_job(connection, job.sequence, {"published": True, **moved})

    def unpublished(self, limit: int = 100, *, after: int | None = None) -> list[JobRow]:
        """Final jobs whose result is owed to the outbox, oldest first; those that arrived `after` a sequence."""
        query = job_table.job_query().where(text(OWED))
        if after is not None:
            query = query.where(Job.sequence > after)
        return self._read(query.order_by(Job.sequence).limit(limit))

    def owed(self) -> int:
        """How many results are owed to the outbox."""
        with self._transaction() as connection:
            return int(
                connection.execute(select(func.count()).where(text(OWED)).select_from(Job)).scalar_one()
            )

    def forget(self, history: History) -> int:
        """Forget the oldest published jobs beyond what is kept, in short transactions. Returns how many."""
        forgotten = 0
        while True:
            with self._transaction() as connection:
                some = forget_some(connection, history, self._clock())
            forgotten += some
            if some == 0:
                return forgotten

    def running(self) -> list[JobRow]:
        """Jobs that a process works for, or did when the daemon died."""
        return self._read(job_table.job_query().where(Job.state.in_(sorted(RUNNING))).order_by(Job.sequence))

    def queued(self) -> int:
        """How many jobs wait to be started."""
        with self._transaction() as connection:
            return job_table.count(connection, JobState.SUBMITTED)

    def attempts(self, job_id: str) -> list[AttemptRow]:
        """Every attempt at a job, the first one first. Raises UnknownJob."""
        with self._change(job_id) as (connection, job):
            return job_table.attempt_rows(connection, job)

    def get(self, job_id: str) -> JobRow | None:
        """One job, or None."""
        rows = self._read(job_table.jobs_by_id(), job_id=job_id)
        return rows[0] if rows else None

    def _read(self, query: Select[Any], **parameters: Any) -> list[JobRow]:
        with self._transaction() as connection:
            return job_table.job_rows(connection, query, **parameters)

    @contextlib.contextmanager
    def _change(self, job_id: str) -> Iterator[tuple[Connection, Standing]]:
        with self._transaction() as connection:
            yield connection, job_table.standing(connection, job_id)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with transaction(self._engine) as connection:
            yield connection
