"""Taking in: what lies in the inbox becomes rows of the database.

    room? → look → take (rename) → admit (read) → record (one transaction) → quarantine what cannot be a job

A refusal that has a job's name gets its `rejected` result recorded, and published if the outbox takes it, before
its file is moved away: a daemon that is killed in between still publishes it, or another one refuses it again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from kbd.daemon.assembly import JobIdentity, refused
from kbd.daemon.elsewhere import FoundResult, finish_as_published, is_published, result_elsewhere
from kbd.daemon.headroom import Headroom
from kbd.daemon.publishing import Publishing
from kbd.daemon.put_off import PutOff
from kbd.inbox.claim import Claimed, Deferred, Refusal, Refused, Taken, Vanished
from kbd.inbox.intake import Intake
from kbd.inbox.lookup import delivery_named
from kbd.inbox.names import job_name
from kbd.inbox.scanner import Delivery, Scanner
from kbd.inbox.spool import Spool, SpoolMissing
from kbd.inbox.strays import Strays
from kbd.outbox.report import ErrorReport
from kbd.outbox.result import JobResult
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage
from kbd.store.errors import StoreUnavailable
from kbd.store.jobs import JobStore
from kbd.store.new_job import AddOutcome, NewJob, RejectedJob
from kbd.store.states import JobState

log = structlog.get_logger(__name__)

BATCH = 128
ROUND_S = 20.0
"""So long at most jobs are read without a pause, but for one that is large: others wait for the same thread."""
Admitted = Claimed | Refused | Vanished | Deferred


@dataclass(frozen=True)
class TakenIn:
    """What one round brought.

    Attributes:
        held: why nothing could be claimed, so that there may be more.
        waiting: how many were claimed and are not read or sorted yet.
    """

    queued: int = 0
    refused: int = 0
    held: str | None = None
    waiting: int = 0

    @property
    def any(self) -> bool:
        """Whether anything left the inbox."""
        return self.queued + self.refused > 0


class TakeIn:
    """Moves deliveries from the inbox into the database, a bounded batch at a time.

    Attributes:
        put_off: what was claimed and waits to be read or sorted.
    """

    def __init__(
        self,
        spool: Spool,
        scanner: Scanner,
        strays: Strays,
        intake: Intake,
        store: JobStore,
        publishing: Publishing,
        headroom: Headroom,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool = spool
        self._scanner = scanner
        self._strays = strays
        self._intake = intake
        self._store = store
        self._publishing = publishing
        self.headroom = headroom
        self.put_off = PutOff()
        self._clock = clock
        self._taken: list[Taken | Vanished | Deferred] = []
        self._has_more = False

    def round(self, hints: Iterable[Path]) -> TakenIn:
        """One look and one batch. Raises what the file system or the database raises."""
        room = self.headroom.room()
        if room.jobs == 0:
            return TakenIn(held=room.why_none)
        unread = len(self.put_off)
        self._taken += self.put_off.due()
        self._taken += self._strays.look()
        is_crowded = unread >= room.jobs
        if not is_crowded:
            limit = 0 if self._has_more else min(BATCH, room.jobs - unread)
            for delivery in self._scanner.look(hints, limit=limit):
                self._take(delivery)
        answers = self._admit_taken() if self._taken else []
        return TakenIn(
            queued=sum(isinstance(answer, Claimed) for answer in answers),
            refused=sum(isinstance(answer, Refused) for answer in answers),
            held=f"{unread} claimed files cannot be read just now; see the daemon's log"
            if is_crowded
            else None,
            waiting=len(self.put_off) + len(self._taken),
        )

    def take_named(self, job_id: str) -> bool:
        """Claim and read the delivery whose file name gives it this id, out of turn. False: there is none."""
        if (unread := self.put_off.take_out(job_id)) is not None:
            self._taken.append(unread)
        elif not self._is_taken(job_id) and (delivery := delivery_named(self._spool, job_id)) is not None:
            self._take(delivery)
        if not self._is_taken(job_id):
            return False
        self._taken.sort(key=lambda item: job_name(item.path.name) != job_id)
        self._admit_taken()
        return True

    def _is_taken(self, job_id: str) -> bool:
        return any(job_name(item.path.name) == job_id for item in self._taken)

    def end_unread(self, job_id: str, result: JobResult) -> bool:
        """Give what could not be read yet, and is called so, this result. False: there is none."""
        unread = self.put_off.take_out(job_id)
        if unread is None:
            return False
        try:
            self._end(result, unread.owner, claimed_path=str(unread.path.relative_to(self._spool.root)))
        except StoreUnavailable:
            self.put_off.add([unread])
            raise
        return True

    def admit(self, taken: Iterable[Taken]) -> list[Admitted]:
        """Read, record and sort what a daemon that died had taken."""
        self._taken += taken
        return self._admit_taken()

    def _take(self, delivery: Delivery) -> None:
        """Rename one into claimed/; from then on it is remembered, whatever fails."""
        answer = self._intake.take(delivery)
        if isinstance(answer, Deferred):
            self._scanner.defer(delivery)
        self._taken.append(answer)

    def _admit_taken(self) -> list[Admitted]:
        """Admit what was renamed into claimed/; what the database or the disk refuses now is tried again later."""
        self._intake.make_durable(self._taken)
        read = self._read_some()
        admitted = self._record(read)
        self._publish_refusals(admitted)
        answers: list[Admitted] = []
        for answer, sorted_out in zip(admitted, self._intake.quarantine_all(admitted), strict=True):
            if isinstance(sorted_out, Deferred):
                log.warning(
                    "delivery put off",
                    action="deferred",
                    path=str(sorted_out.path),
                    reason=sorted_out.message,
                )
            answers.append(sorted_out if isinstance(sorted_out, Deferred) else answer)
        del self._taken[: len(read)]
        self._has_more = bool(self._taken)
        self.put_off.add(
            answer.taken for answer in answers if isinstance(answer, Deferred) and answer.was_claimed
        )
        return answers

    def _read_some(self) -> list[Admitted]:
        """Read what was taken, until it has taken too long; the rest has its turn in the next round."""
        until, answers = self._clock() + ROUND_S, list[Admitted]()
        for item in self._taken:
            answers += self._intake.admit_all([item])
            if self._clock() >= until:
                break
        return answers

    def _record(self, answers: Sequence[Admitted]) -> list[Admitted]:
        claimed = [answer for answer in answers if isinstance(answer, Claimed)]
        found = {answer.path: self._found(answer.job_file.job_id) for answer in claimed}
        answers = [self._apart(answer, found) for answer in answers]
        claimed = [answer for answer in answers if isinstance(answer, Claimed)]
        outcomes = iter(self._store.add([self._new_job(job) for job in claimed]) if claimed else [])
        recorded: list[Admitted] = []
        for answer in answers:
            if isinstance(answer, Claimed):
                recorded.append(self._settled(answer, next(outcomes), found[answer.path]))
            else:
                self._record_refusal(answer)
                recorded.append(answer)
        return recorded

    def _publish_refusals(self, answers: Iterable[Admitted]) -> None:
        """Before their files are moved away, where no other host would look for them, should this one be lost.

        What the outbox refuses now is owed to it.
        """
        for answer in answers:
            if isinstance(answer, Refused) and answer.job_id is not None:
                with contextlib.suppress(OSError, SpoolMissing):
                    self._publishing.publish_one(answer.job_id)

    def _found(self, job_id: str) -> FoundResult | None:
        """The result that a job new to this database has already."""
        if not is_published(self._spool, job_id) or self._store.get(job_id) is not None:
            return None
        return result_elsewhere(self._spool, job_id)

    def _apart(self, answer: Admitted, found: Mapping[Path, FoundResult | None]) -> Admitted:
        """Refuse a job whose id has the result of another one."""
        if not isinstance(answer, Claimed):
            return answer
        result = found[answer.path]
        return answer if result is None or result.is_of(answer.job_file.sha256) else _conflict(answer)

    def _new_job(self, claimed: Claimed) -> NewJob:
        job = claimed.job_file
        return NewJob(
            job_id=job.job_id,
            manifest_sha256=job.sha256,
            manifest_text=job.manifest.model_dump_json(),
            claimed_path=str(claimed.path.relative_to(self._spool.root)),
            owner=claimed.owner or "",
            priority=job.manifest.priority,
            labels=job.manifest.labels,
        )

    def _settled(self, claimed: Claimed, outcome: AddOutcome, found: FoundResult | None) -> Admitted:
        """A copy of a known job is filed away; another job under a known id goes to quarantine."""
        job_id = claimed.job_file.job_id
        log.info("claimed", action="claimed", job=job_id, outcome=outcome.value)
        if outcome is AddOutcome.ADDED and found is not None:
            finish_as_published(self._store, job_id, found)
        if outcome is AddOutcome.SAME and not self._is_own_file(claimed):
            self._intake.finish(claimed.path)
        return _conflict(claimed) if outcome is AddOutcome.CONFLICT else claimed

    def _is_own_file(self, claimed: Claimed) -> bool:
        """Whether this is the very file of the known job, found again after a restart."""
        row = self._store.get(claimed.job_file.job_id)
        return row is not None and row.claimed_path == str(claimed.path.relative_to(self._spool.root))

    def _record_refusal(self, answer: Admitted) -> None:
        match answer:
            case Refused(job_id=str() as job_id):
                self._reject(
                    job_id,
                    answer.owner,
                    EvaluationStatus.INVALID_JOB,
                    Blame.JOB,
                    ErrorReport(
                        type=answer.code.value,
                        message=answer.message,
                        hint="it lies in quarantine/ (kbd quarantine ls): correct it and deliver it under a new id",
                    ),
                )
            case Vanished(was_claimed=True, job_id=str() as job_id):
                message = "its file was deleted from claimed/ before it could be read"
                error = ErrorReport(type="Lost", message=message, hint="deliver it again under a new id")
                self._reject(job_id, answer.owner, EvaluationStatus.HARNESS_ERROR, Blame.HARNESS, error)

    def _reject(
        self, job_id: str, owner: str | None, status: EvaluationStatus, blame: Blame, error: ErrorReport
    ) -> None:
        if self._found(job_id) is not None:
            return  # rubbish under the id of a job that has its result
        self._end(refused(JobIdentity(job_id, "", 0, {}), status, blame, Stage.INTAKE, error), owner)

    def _end(self, result: JobResult, owner: str | None, claimed_path: str | None = None) -> None:
        message = result.error.message if result.error else ""
        outcome = self._store.add_rejected(
            RejectedJob(
                job_id=result.job_id,
                manifest_sha256=None,
                result_text=result.to_json(),
                error_message=message,
                claimed_path=claimed_path,
                owner=owner or "",
                state=JobState(result.state),
                status=result.status.value,
                stage=result.stage.value if result.stage else None,
                blame=result.blame.value if result.blame else None,
            )
        )
        log.info(result.state, action=result.state, job=result.job_id, reason=message, outcome=outcome.value)


def _conflict(claimed: Claimed) -> Refused:
    return Refused(
        path=claimed.path,
        owner=claimed.owner,
        job_id=None,
        code=Refusal.ID_CONFLICT,
        problems=(),
        message=(
            f"another job with the id {claimed.job_file.job_id!r} was delivered before, with other content; its "
            "result stays. Deliver this one under another id"
        ),
    )
