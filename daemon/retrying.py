"""Retrying: a finished job is delivered once more, under a new id, because an id has one result for good.

    done/…/NAME ──copied, with the id ID.rN──► inbox/ ──like any other delivery──► queue

Works on the job's own file, so that the retried job is what its user wrote. A rerun is the job as kbd understood
it, with the seed of its result: the same inputs again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from kbd.inbox.control import Answer, AnswerCode
from kbd.inbox.delivery import UndeliverableJob, deliver
from kbd.inbox.errors import InvalidJob, UnsafeFile
from kbd.inbox.folder_files import ReadLimits
from kbd.inbox.job_id import intended_id
from kbd.inbox.lookup import delivery_named
from kbd.inbox.names import JOB_FOLDER_SUFFIX, NAME_PATTERN
from kbd.inbox.renaming import deliver_as, require_folder
from kbd.inbox.result_files import published_path
from kbd.inbox.spool import Spool
from kbd.store.jobs import JobStore
from kbd.store.rows import JobRow
from kbd.store.states import FINAL, JobState

MOST_RETRIES = 1_000
_RETRY = re.compile(r"(?P<first>.+)\.r(?P<number>[1-9][0-9]{0,3})")


class NoSeed(Exception):
    """The job to run again never had inputs."""


class Retrying:
    """Delivers finished jobs again. Used in the clerk's thread."""

    def __init__(self, spool: Spool, store: JobStore) -> None:
        self._spool = spool
        self._store = store

    def retry(self, job_id: str) -> Answer:
        """Deliver a job again; the answer carries the new id. Raises OSError and StoreError."""
        return self._again(job_id, "tried again", self._redeliver)

    def rerun(self, job_id: str, seed: int | None) -> Answer:
        """Deliver a job again with this seed, or that of its result. Raises OSError and StoreError."""

        def redeliver(row: JobRow, new_id: str) -> None:
            self._redeliver_with_seed(row, new_id, _seed_of(row) if seed is None else seed)

        return self._again(job_id, "run again", redeliver)

    def _again(self, job_id: str, done: str, redeliver: Callable[[JobRow, str], None]) -> Answer:
        row = self._store.get(job_id)
        if row is None:
            return self._unclaimed(job_id)
        if row.state not in FINAL:
            return _refused(row, f"{job_id} has no result yet (it is {row.state}): wait for it, or cancel it")
        if row.manifest_text is None and row.state is JobState.CANCELLED:
            return _refused(
                row, f"{job_id} was cancelled before its file was read: submit it under another id"
            )
        if row.manifest_text is None:
            return _refused(row, f"{job_id} was no valid job: correct it and submit it under another id")
        for new_id in _next_ids(job_id):
            if self._is_free(new_id):
                return _deliver(row, new_id, done, redeliver)
        return _refused(row, f"no id is left for another try of {job_id}: submit it under another id")

    def _unclaimed(self, job_id: str) -> Answer:
        """That it waits in the inbox, or is not known at all."""
        delivery = delivery_named(self._spool, job_id)
        limit_bytes = ReadLimits().manifest_bytes
        if delivery is None or intended_id(delivery.path, limit_bytes=limit_bytes) != job_id:
            return Answer(code=AnswerCode.NOT_FOUND, message=f"no job is called {job_id}", job_id=job_id)
        message = (
            f"{job_id} waits in the inbox and will be judged when its turn comes: nothing needs to be done"
        )
        return Answer(code=AnswerCode.REFUSED, message=message, job_id=job_id)

    def _is_free(self, job_id: str) -> bool:
        try:
            published_path(self._spool, job_id).lstat()
        except FileNotFoundError:
            return self._store.get(job_id) is None and delivery_named(self._spool, job_id) is None
        return False

    def _redeliver(self, row: JobRow, new_id: str) -> None:
        """Raises UndeliverableJob, UnsafeFile, InvalidJob, and FileNotFoundError where its files are gone."""
        deliver_as(self._spool.root / (row.claimed_path or ""), self._spool, new_id, row.owner or None)

    def _redeliver_with_seed(self, row: JobRow, new_id: str, seed: int) -> None:
        """Raises UndeliverableJob, UnsafeFile, NoSeed, and FileNotFoundError where its files are gone."""
        manifest = json.loads(row.manifest_text or "")
        manifest["evaluation"] |= {"seed": seed}
        document, owner = json.dumps({"manifest": manifest}).encode(), row.owner or None
        path = self._spool.root / (row.claimed_path or "")
        if not path.name.endswith(JOB_FOLDER_SUFFIX):
            deliver(document, self._spool, f"{new_id}.json", owner)
            return
        require_folder(path)
        deliver(path, self._spool, f"{new_id}.job", owner, document=document)


def _deliver(row: JobRow, new_id: str, done: str, redeliver: Callable[[JobRow, str], None]) -> Answer:
    try:
        redeliver(row, new_id)
    except (UndeliverableJob, UnsafeFile, InvalidJob, FileNotFoundError, NoSeed) as error:
        return _refused(row, f"{row.job_id} cannot be delivered again: {error}")
    message = f"{row.job_id} is {done} as {new_id}"
    return Answer(code=AnswerCode.DONE, message=message, job_id=new_id)


def _seed_of(row: JobRow) -> int:
    """The seed that the result tells. Raises NoSeed."""
    seed = json.loads(row.result_text or "{}").get("seed")
    if not isinstance(seed, int):
        raise NoSeed("its result has no seed, because no inputs were drawn for it. Give one with --seed")
    return seed


def _next_ids(job_id: str) -> Iterator[str]:
    """`a.r1`, `a.r2`, … for `a`; `a.r4`, `a.r5`, … for `a.r3`."""
    retried = _RETRY.fullmatch(job_id)
    first, number = (retried["first"], int(retried["number"])) if retried else (job_id, 0)
    ids = (f"{first}.r{number + step}" for step in range(1, MOST_RETRIES + 1))
    return (new_id for new_id in ids if NAME_PATTERN.fullmatch(new_id))


def _refused(row: JobRow, message: str) -> Answer:
    return Answer(code=AnswerCode.REFUSED, message=message, job_id=row.job_id)
