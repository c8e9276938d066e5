"""Controls: what people ask of the daemon, done and answered.

    control/TOKEN.json ──look──► verb ──► scheduler, inbox, pause file ──► control/answers/TOKEN.json

Requests of one look are worked on side by side, since ending a job takes a moment; each begins in its turn.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import structlog

from kbd.daemon.assembly import JobIdentity
from kbd.daemon.cancellation import cancelled_result
from kbd.daemon.clerk import Clerk
from kbd.daemon.desk import Desk
from kbd.daemon.scheduler import Scheduler
from kbd.inbox.control import Answer, AnswerCode, ControlRequest, Verb
from kbd.inbox.control_reader import Requested
from kbd.inbox.epoch import EpochLost
from kbd.inbox.pause import Pause, end_pause, keep_pause
from kbd.inbox.spool import SpoolMissing
from kbd.store.errors import StoreError, StoreUnavailable
from kbd.store.rows import JobRow
from kbd.store.states import FINAL

log = structlog.get_logger(__name__)

RETRY_S = 2.0


class Controls:
    """Acts on requests, and remembers what they have set.

    Attributes:
        pause: who has paused the daemon; None: nobody has.
        drain: who wants it to finish what is queued and end; None: nobody does.
        interval_s: between two looks without any reason.
    """

    def __init__(
        self,
        clerk: Clerk,
        desk: Desk,
        scheduler: Scheduler,
        pause: Pause | None,
        *,
        interval_s: float,
        look_into_inbox: Callable[[], None],
    ) -> None:
        self._clerk = clerk
        self._desk = desk
        self._scheduler = scheduler
        self._look_into_inbox = look_into_inbox
        self._look_at = 0.0
        self.interval_s = interval_s
        self.pause = pause
        self.drain: Pause | None = None
        self._verbs: Mapping[Verb, Callable[[ControlRequest], Awaitable[Answer]]] = {
            Verb.CANCEL: self._cancel,
            Verb.RETRY: self._retry,
            Verb.RERUN: self._rerun,
            Verb.PAUSE: self._pause,
            Verb.RESUME: self._resume,
            Verb.DRAIN: self._drain,
            Verb.WAKE: self._wake,
        }

    @property
    def due_in_s(self) -> float:
        """Seconds until the next look."""
        return max(0.0, self._look_at - time.monotonic())

    def look_now(self) -> None:
        """Let the next round look, whatever time it is."""
        self._look_at = 0.0

    async def obey(self) -> bool:
        """Do what is asked, if it is time to look. Returns whether anything was."""
        if self.due_in_s > 0:
            return False
        self._look_at = time.monotonic() + self.interval_s
        try:
            requests = await self._clerk.do(self._desk.control.look)
        except (SpoolMissing, OSError) as error:
            log.warning("control/ cannot be read", action="control_failed", reason=str(error))
            self._look_at = time.monotonic() + RETRY_S
            return False
        await asyncio.gather(*map(self._act, requests))
        if (due_s := self._desk.control.next_look_s()) is not None:
            self._look_at = min(self._look_at, time.monotonic() + due_s)
        return bool(requests)

    async def _act(self, requested: Requested) -> None:
        request = requested.request
        try:
            answer = await self._verbs[request.verb](request)
        except (StoreUnavailable, SpoolMissing, OSError) as error:
            answer = Answer(code=AnswerCode.UNAVAILABLE, message=str(error), job_id=request.job_id)
        except (EpochLost, StoreError):
            raise
        except Exception as error:
            # One request that trips kbd itself must not end every daemon that finds it.
            log.exception("request broke inside kbd", action="request_broken", job=request.job_id)
            message = f"kbd failed at this request ({type(error).__name__}: {error}); please report it"
            answer = Answer(code=AnswerCode.REFUSED, message=message, job_id=request.job_id)
        log.info(
            "request",
            action="request",
            verb=request.verb.value,
            job=request.job_id,
            by=request.by,
            answer=answer.code.value,
            reason=answer.message,
        )
        try:
            await self._clerk.do(self._desk.control.answer, requested.token, answer)
        except OSError as error:  # it lies there still, and is done again: every verb may be
            log.warning("no answer", action="answer_failed", reason=str(error))
            self._look_at = time.monotonic() + RETRY_S

    async def _cancel(self, request: ControlRequest) -> Answer:
        job_id = request.job_id or ""
        row = await self._find(job_id)
        if row is None:
            return await self._cancel_unread(job_id, request)
        if row.state not in FINAL:
            identity = JobIdentity(job_id, row.manifest_sha256 or "", row.attempts, row.labels)
            result = cancelled_result(identity, self._scheduler.running.get(job_id), request)
            if await self._scheduler.cancel(row, result):
                return Answer(code=AnswerCode.DONE, message=f"{job_id} is cancelled", job_id=job_id)
            row = await self._clerk.do(self._desk.store.get, job_id) or row
        return Answer(code=AnswerCode.FINISHED, message=_ended(row), job_id=job_id)

    async def _cancel_unread(self, job_id: str, request: ControlRequest) -> Answer:
        """End a delivery that was claimed and cannot be read just now."""
        result = cancelled_result(JobIdentity(job_id, "", 0, {}), None, request)
        if await self._clerk.do(self._desk.take_in.end_unread, job_id, result):
            message = f"{job_id} is cancelled; its file could not be read yet"
            return Answer(code=AnswerCode.DONE, message=message, job_id=job_id)
        return Answer(code=AnswerCode.NOT_FOUND, message=f"no job is called {job_id}", job_id=job_id)

    async def _find(self, job_id: str) -> JobRow | None:
        """The job's row; one that waits in the inbox is claimed, one that could not be read is read first."""
        row = await self._clerk.do(self._desk.store.get, job_id)
        if row is None and await self._clerk.do(self._desk.take_in.take_named, job_id):
            row = await self._clerk.do(self._desk.store.get, job_id)
        return row

    async def _retry(self, request: ControlRequest) -> Answer:
        job_id = request.job_id or ""
        if self._scheduler.hurry(job_id):
            message = f"{job_id} is tried again at once, without waiting longer after its last attempt"
            return Answer(code=AnswerCode.DONE, message=message, job_id=job_id)
        answer = await self._clerk.do(self._desk.retrying.retry, job_id)
        self._look_into_inbox()
        return answer

    async def _rerun(self, request: ControlRequest) -> Answer:
        answer = await self._clerk.do(self._desk.retrying.rerun, request.job_id or "", request.seed)
        self._look_into_inbox()
        return answer

    async def _pause(self, request: ControlRequest) -> Answer:
        if self.pause is not None:
            return Answer(code=AnswerCode.DONE, message=f"it was paused already {self.pause}")
        pause = Pause.wanted(request)
        await self._clerk.do(keep_pause, self._desk.spool, pause)
        self.pause = pause
        return Answer(code=AnswerCode.DONE, message=f"paused {pause}")

    async def _resume(self, request: ControlRequest) -> Answer:
        del request
        was = [word for word, held in (("pause", self.pause), ("drain", self.drain)) if held is not None]
        await self._clerk.do(end_pause, self._desk.spool)
        self.pause = self.drain = None
        self._look_into_inbox()
        message = f"the {' and the '.join(was)} ended" if was else "nothing was paused"
        return Answer(code=AnswerCode.DONE, message=message)

    async def _drain(self, request: ControlRequest) -> Answer:
        self.drain = self.drain or Pause.wanted(request)
        queued = await self._clerk.do(self._desk.store.queued)
        running = len(self._scheduler.running)
        left = "the queue stays, it is paused" if self.pause else f"{queued} queued"
        return Answer(code=AnswerCode.DONE, message=f"it ends after its jobs ({running} running, {left})")

    async def _wake(self, request: ControlRequest) -> Answer:
        del request
        self._look_into_inbox()
        return Answer(code=AnswerCode.DONE, message="it looks into the inbox")


def _ended(row: JobRow) -> str:
    return f"{row.job_id} had ended before: {row.status or row.state}"
