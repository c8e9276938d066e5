"""Intake: takes deliveries out of the inbox, reads them, and sorts jobs from what cannot be one.

The way of a batch is data handed from step to step (`kbd.inbox.claim` draws it):

    take → make_durable → admit_all → quarantine_all

`claim_batch` does all of it. A daemon that must not lose the `rejected` result of a refused delivery when it
is killed records what `admit_all` answered before it calls `quarantine_all`.

What a claim makes durable: the rename is the commit of ownership, so the folders it went to are fsynced, once
per batch and before anybody hears of it: a row in the database must not outlive its file. The content is not
fsynced: a safe client has done that, and for others the row keeps the text that was read.
"""

import errno
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from kbd.inbox.claim import Claim, Claimed, Deferred, Refusal, Refused, Taken, Vanished
from kbd.inbox.durable import fsync_folder, is_there, make_folder
from kbd.inbox.epoch import require_epoch
from kbd.inbox.errors import InboxError, InvalidJob, Problem
from kbd.inbox.failed_reads import FailedReads
from kbd.inbox.job_file import ReadLimits, read_job
from kbd.inbox.job_id import intended_id
from kbd.inbox.names import JOB_FOLDER_SUFFIX, MANIFEST_SUFFIXES, NAME_PATTERN, job_name
from kbd.inbox.quarantine import Quarantine
from kbd.inbox.scanner import Delivery
from kbd.inbox.sighting import Signature
from kbd.inbox.spool import Spool, move_to_place, owner_of

logger = logging.getLogger(__name__)

_ENVIRONMENT_ERRORS = frozenset(
    {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
    | {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENODEV, errno.EINTR, errno.EAGAIN, errno.ENOLCK}
)


def _utc_today() -> date:
    return datetime.now(UTC).date()


class Intake:
    """Claims deliveries for one epoch. Raises for nothing that a user can place in the inbox.

    Args:
        spool: whose inbox is emptied.
        epoch_folder: `claimed/EPOCH` of this daemon, `kbd.inbox.lease.Lease.epoch_folder`.
        limits: how large manifests and the files beside them may be.
        today: the day (UTC) under which published jobs are filed.
        clock: our own monotonic clock, in seconds.
    """

    def __init__(
        self,
        spool: Spool,
        epoch_folder: Path,
        limits: ReadLimits | None = None,
        *,
        today: Callable[[], date] = _utc_today,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool = spool
        self._epoch_folder = epoch_folder
        self._limits = limits or ReadLimits()
        self._today = today
        self._clock = clock
        self._quarantine = Quarantine(spool)

    def claim(self, delivery: Delivery) -> Claim:
        """Claim one delivery; see `claim_batch`."""
        return self.claim_batch([delivery])[0]

    def claim_batch(self, deliveries: Iterable[Delivery]) -> list[Claim]:
        """Take, read and sort deliveries; one answer for each, in their order.

        Raises:
            EpochLost: another daemon owns the spool.
            OSError: what was taken could not be made durable; it lies under `claimed/` and is found there at
                the next start.
        """
        taken = [self.take(delivery) for delivery in deliveries]
        self.make_durable(taken)
        return self.quarantine_all(self.admit_all(taken))

    def take(self, delivery: Delivery) -> Taken | Vanished | Deferred:
        """Rename one delivery into the epoch's folder. Raises EpochLost, and SpoolMissing."""
        try:
            path = move_to_place(delivery.path, self._epoch_folder, delivery.owner)
        except FileNotFoundError:
            require_epoch(self._spool, self._epoch_folder)
            return Vanished(delivery.path, delivery.owner, job_name(delivery.name), was_claimed=False)
        except OSError as error:
            message = f"{delivery.path} cannot be claimed: {error.strerror}"
            if isinstance(error, PermissionError):
                message += "; the daemon needs write permission on its folder, and on a job folder itself"
            return Deferred(delivery.path, delivery.owner, was_claimed=False, error=error, message=message)
        return Taken(path, delivery.owner, signature=delivery.signature)

    def make_durable(self, items: Iterable[Taken | Vanished | Deferred]) -> None:
        """See to it that what was taken is under `claimed/` after a loss of power too.

        A folder that somebody has deleted meanwhile holds nothing to see to. Raises OSError and EpochLost.
        """
        for folder in {item.path.parent: None for item in items if isinstance(item, Taken)}:
            try:
                fsync_folder(folder)
            except FileNotFoundError:
                require_epoch(self._spool, self._epoch_folder)

    def admit_all(
        self, items: Iterable[Taken | Vanished | Deferred]
    ) -> list[Claimed | Refused | Vanished | Deferred]:
        """Read what was taken; everything else is passed on as it is.

        Also for what lies in an epoch's folder since before a restart.
        """
        return [self._admit(item) if isinstance(item, Taken) else item for item in items]

    def quarantine_all(self, items: Sequence[Claimed | Refused | Vanished | Deferred]) -> list[Claim]:
        """Move what was refused into quarantine; everything else is passed on as it is."""
        refusals = [item for item in items if isinstance(item, Refused)]
        answers = iter(self._quarantine.put_all(refusals) if refusals else [])
        return [next(answers) if isinstance(item, Refused) else item for item in items]

    def finish(self, path: Path) -> Path | None:
        """File one published job; see `finish_all`."""
        return self.finish_all([path])[0]

    def finish_all(self, paths: Iterable[Path]) -> list[Path | None]:
        """Move the files of published jobs from `claimed/` to `done/YYYYMMDD/`, durably.

        Answers where each lies now; None for one that is no longer there.
        """
        day_folder = self._spool.done / self._today().strftime("%Y%m%d")
        make_folder(day_folder)
        answers = [self._file_away(path, day_folder) for path in paths]
        for folder in {path.parent: None for path in answers if path is not None}:
            fsync_folder(folder)
        return answers

    def _file_away(self, path: Path, day_folder: Path) -> Path | None:
        try:
            return move_to_place(path, day_folder, owner_of(path, self._spool.claimed))
        except FileNotFoundError:
            return None

    def _admit(self, taken: Taken) -> Claimed | Refused | Vanished | Deferred:
        misnamed = _misnamed(taken)
        if misnamed is not None:
            return misnamed
        try:
            return Claimed(read_job(taken.path, limits=self._limits), taken.path, taken.owner)
        except InvalidJob as error:
            if (unfinished := self._still_written(taken)) is not None:
                return unfinished
            return self._refuse(taken, Refusal.INVALID_JOB, str(error), error.problems)
        except InboxError as error:
            return self._refuse(taken, Refusal.UNSAFE_FILE, str(error))
        except OSError as error:
            return self._unreadable(taken, error)
        except Exception as error:
            # One job that trips kbd itself must not stop all others.
            logger.exception(
                "reading a job failed inside kbd", extra={"action": "admit", "path": os.fspath(taken.path)}
            )
            message = f"kbd failed while reading this job ({type(error).__name__}: {error}); please report it"
            return self._refuse(taken, Refusal.INTERNAL_ERROR, message)

    def _still_written(self, taken: Taken) -> Deferred | None:
        """Whether somebody writes to it: a `cp` onto a file that was just being claimed goes on in `claimed/`."""
        if taken.signature is None:
            return None
        try:
            signature = Signature.at(os.fspath(taken.path), os.lstat(taken.path), anew=True)
        except OSError:
            return None
        now = self._clock()
        failed = FailedReads.one_more(taken.failed_reads, now)
        if signature == taken.signature or failed.are_a_verdict(now):
            return None
        error = OSError(errno.EAGAIN, "it is still being written", os.fspath(taken.path))
        message = f"{taken.path} was claimed while somebody writes to it"
        return Deferred(taken.path, taken.owner, True, error, message, failed, signature)

    def _unreadable(self, taken: Taken, error: OSError) -> Refused | Vanished | Deferred:
        if isinstance(error, FileNotFoundError) and not is_there(taken.path):
            return Vanished(taken.path, taken.owner, job_name(taken.path.name), was_claimed=True)
        failed, now = None, self._clock()
        if error.errno not in _ENVIRONMENT_ERRORS:
            failed = FailedReads.one_more(taken.failed_reads, now)
            if failed.are_a_verdict(now):
                return self._refuse(taken, Refusal.UNREADABLE, _why_unreadable(taken, error, failed.times))
        message = f"{taken.path} was claimed and cannot be read now: {error.strerror}"
        return Deferred(taken.path, taken.owner, True, error, message, failed)

    def _refuse(
        self, taken: Taken, code: Refusal, message: str, problems: tuple[Problem, ...] = ()
    ) -> Refused:
        if code is Refusal.INVALID_JOB:
            job_id = intended_id(taken.path, limit_bytes=self._limits.manifest_bytes)
        else:
            job_id = job_name(taken.path.name)
        return Refused(taken.path, taken.owner, job_id, code, problems, message)


def _why_unreadable(taken: Taken, error: OSError, times: int) -> str:
    message = f"{taken.path.name} cannot be read: {error.strerror}, each of {times} times"
    if isinstance(error, PermissionError):
        message += (
            "; make it readable for the daemon (chmod a+r, for folders a+rx), deliver it under a new id"
        )
    return message


def _misnamed(taken: Taken) -> Refused | None:
    """What is called like no job is refused unopened."""
    name = taken.path.name
    job_id = job_name(name)
    if job_id is None:
        problem = Problem(
            pointer="",
            message="its name cannot be the name of a job",
            expected=f"NAME.yaml, NAME.yml, NAME.json or a folder NAME.job, NAME like {NAME_PATTERN.pattern}",
            found=f"{name} (unusual bytes shown as %XX)",
            hint=_folder_hint(taken) or "rename it and deliver it again",
        )
        return Refused(taken.path, taken.owner, None, Refusal.BAD_NAME, (problem,), str(problem))
    if name.endswith((*MANIFEST_SUFFIXES, JOB_FOLDER_SUFFIX)):
        return None
    problem = Problem(
        pointer="",
        message="this is not called like a job",
        expected="a file NAME.yaml, NAME.yml or NAME.json, or a folder NAME.job with a job.yaml in it",
        found=name,
        hint=_folder_hint(taken) or "put files that belong to a job beside its job.yaml in a folder NAME.job",
    )
    return Refused(taken.path, taken.owner, job_id, Refusal.NOT_A_JOB, (problem,), str(problem))


def _folder_hint(taken: Taken) -> str | None:
    """What a folder could have been meant to be; None for everything else."""
    if os.path.islink(taken.path) or not os.path.isdir(taken.path):
        return None
    if taken.owner is None:
        return (
            "an owner's folder is named like a job, without .yaml, .yml, .json or .job at the end: "
            "rename it and deliver its jobs again"
        )
    return (
        f"owners' folders are one level deep: deliver jobs into inbox/{taken.owner}/ itself, "
        "each a file or a folder NAME.job"
    )
