"""The client: jobs go in, `Job`s come back."""

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from kbd.inbox.answer_wait import await_answer
from kbd.inbox.client.draft import SideFiles, drafted
from kbd.inbox.client.errors import IdTaken, NoAnswer, NotCancelled
from kbd.inbox.client.job import ANSWER_PATIENCE_S, Job
from kbd.inbox.client.received import ReceivedResult
from kbd.inbox.client.result_watch import ResultWatch
from kbd.inbox.control import AnswerCode, ControlRequest, Verb, ask, requester
from kbd.inbox.delivery import UndeliverableJob, deliver
from kbd.inbox.errors import InboxError
from kbd.inbox.job_file import JobFile, read_job
from kbd.inbox.result_files import published_path, read_published
from kbd.inbox.spool import Spool

DAEMON_PATIENCE_S: Final = 120.0
_DELIVERY_PAUSES_S: Final = (0.05, 0.2, 0.5, 1.0)
"""Between tries, while somebody else delivers a job of the same name just now."""


class Client:
    """Submits jobs to one spool and finds their results. Threads may share it; after a fork make a new one.

    Args:
        spool: the folder.
        owner: the sub-folder of the inbox to deliver into; owners take turns when jobs are started.
        daemon_patience: seconds without any sign of a daemon after which waiting ends with NoDaemon; None: never.

    Raises SpoolMissing when the folder is no spool.
    """

    def __init__(
        self,
        spool: str | os.PathLike[str],
        *,
        owner: str | None = None,
        daemon_patience: float | None = DAEMON_PATIENCE_S,
    ) -> None:
        self.spool: Final = Spool.open(Path(spool))
        self._owner = owner
        self._watch = ResultWatch(self.spool, daemon_patience)

    def submit(
        self,
        job: Mapping[str, Any] | str | os.PathLike[str] | None = None,
        *,
        files: SideFiles | None = None,
        job_id: str | None = None,
    ) -> Job:
        """Check a job and put it into the inbox. Returns as soon as it is durable there.

        The same job again is not judged again: it is the job in flight, or done at once. It waits for the disk,
        so call it in a thread from asynchronous code: `await asyncio.to_thread(client.submit, ...)`.

        Args:
            job: a manifest as a mapping (any format that the inbox takes), or the path of a manifest or job folder.
            files: files beside the manifest, by name; without a manifest `reference.py` and `candidate.py`.
            job_id: the id of a job that declares none; by default it follows from the content.

        Raises:
            InvalidJob: it is no job; `.problems` says everything. Nothing was delivered.
            IdTaken: another job has this id.
            UndeliverableJob: another job of this name waits in the inbox.
            TypeError, ValueError: arguments that do not go together.
            SpoolMissing, OSError: nothing is left behind.
        """
        self._watch.require_open()
        with drafted(job, files, job_id) as (path, read):
            known = self._known(read)
            if known is not None:
                return known
            self._deliver(path, read)
        return self._watch.add(Job(read.job_id, read.sha256, self))

    def job(self, job_id: str) -> Job:
        """A job by its id, whoever has submitted it: after a restart, or from another host.

        An id that nobody has submitted yet is waited for as well. Raises ValueError for what cannot be an id.
        """
        published_path(self.spool, job_id)
        return self._watch.add(Job(job_id, None, self))

    def cancel(
        self, jobs: Iterable[Job], *, reason: str | None = None, timeout: float = ANSWER_PATIENCE_S
    ) -> set[Job]:
        """Have jobs ended wherever they are. Returns those that had not ended before.

        Raises NoAnswer (the requests stand), NotCancelled, SpoolMissing and OSError.
        """
        deadline = time.monotonic() + timeout
        asked = [(job, ask(self.spool, self._request(job, reason))) for job in jobs]
        return {job for job, token in asked if self._was_cancelled(job, token, deadline)}

    def trouble(self) -> str | None:
        """Why results cannot be looked for just now; None where they can."""
        return self._watch.trouble

    def close(self) -> None:
        """Stop looking for results. Jobs that have none fail with ClientClosed here, and go on in the spool."""
        self._watch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _known(self, read: JobFile) -> Job | None:
        """The job of this id, in flight or published. Raises IdTaken where it is another one."""
        job = self._watch.find(read.job_id)
        if job is not None and job.sha256 is not None:
            if job.sha256 == read.sha256:
                return job
            raise _taken(read.job_id)
        content = read_published(self.spool, read.job_id)
        if content is None:
            return None
        result = ReceivedResult.from_json(content)
        if result.manifest_sha256 not in (None, read.sha256):
            raise _taken(read.job_id)
        finished = Job(read.job_id, read.sha256, self)
        finished.deliver(result)
        return finished

    def _deliver(self, path: Path, read: JobFile) -> None:
        """Into the inbox, unless the same bytes are there already; two processes may have had the same idea."""
        for pause_s in (*_DELIVERY_PAUSES_S, None):
            try:
                deliver(path, self.spool, path.name, self._owner)
            except UndeliverableJob:
                if self._waits_already(path.name, read.sha256):
                    return
                if pause_s is None:
                    raise
                time.sleep(pause_s)
            else:
                return

    def _waits_already(self, name: str, sha256: str) -> bool:
        folder = self.spool.inbox if self._owner is None else self.spool.inbox / self._owner
        try:
            return read_job(folder / name).sha256 == sha256
        except (InboxError, OSError):
            return False  # taken by the daemon meanwhile, or another job

    def _request(self, job: Job, reason: str | None) -> ControlRequest:
        return ControlRequest(verb=Verb.CANCEL, job_id=job.id, by=requester(), reason=reason)

    def _was_cancelled(self, job: Job, token: str, deadline: float) -> bool:
        answer = await_answer(self.spool, token, deadline)
        if answer is None:
            raise NoAnswer(
                f"the daemon did not answer the request to cancel {job.id} in time. The request stays in "
                f"{self.spool.control}, and is done when a daemon gets to it"
            )
        if answer.code in (AnswerCode.DONE, AnswerCode.FINISHED):
            return answer.code is AnswerCode.DONE
        raise NotCancelled(f"{job.id} was not cancelled: {answer.message}")


def _taken(job_id: str) -> IdTaken:
    return IdTaken(f"another job has the id {job_id}; its result stays. Submit yours under another id")
