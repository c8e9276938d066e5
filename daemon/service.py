"""The daemon: a list of named verbs, done again and again whenever something has happened.

::

    inotify, timers, signals, finished jobs ──wake──► hold → take_in → obey → dispatch → publish → … → report

The loop itself touches neither files nor database (the clerk's thread does) and never imports torch.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import structlog

from kbd.daemon.claiming import Claiming
from kbd.daemon.clerk import Clerk
from kbd.daemon.config import Limits, Settings
from kbd.daemon.controls import Controls
from kbd.daemon.desk import Desk
from kbd.daemon.executor.local import LocalExecutor
from kbd.daemon.job_logs.log_writing import LogWriting
from kbd.daemon.operation.operation import Operation
from kbd.daemon.owed_results import OwedResults
from kbd.daemon.scheduler import Scheduler
from kbd.daemon.snapshot import Ending, Holds, Snapshot
from kbd.inbox.epoch import EpochLost
from kbd.inbox.pause import Pause
from kbd.inbox.spool import SpoolMissing
from kbd.inbox.watcher import Hint, HintKind, InboxWatcher
from kbd.store.errors import StoreCorrupt, StoreUnavailable

log = structlog.get_logger(__name__)

RETRY_S = 2.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Service:
    """One daemon on one spool, once its desk is open."""

    def __init__(
        self,
        settings: Settings,
        clerk: Clerk,
        desk: Desk,
        executor: LocalExecutor,
        job_logs: LogWriting,
        *,
        pause: Pause | None,
        once: bool,
    ) -> None:
        limits = settings.limits
        self._settings = settings
        self._once = once
        self._clerk = clerk
        self._desk = desk
        self._executor = executor
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._stirred = True
        self._watcher = InboxWatcher(desk.spool, self._hinted)
        interval_s = limits.network_scan_interval_s
        self._claiming = Claiming(clerk, desk, interval_s)
        self._owed = OwedResults(clerk, desk)
        self._scheduler = Scheduler(executor, clerk, desk, limits, self._stir, job_logs)
        self._controls = Controls(
            clerk,
            desk,
            self._scheduler,
            pause,
            interval_s=interval_s,
            look_into_inbox=self._claiming.look_now,
        )
        self._snapshot = Snapshot(executor, self._scheduler, desk, limits.status_interval_s)
        self._operation = Operation(settings, clerk, self._wake.set)
        self._warm = False
        self._watched = False
        self._stop_by: float | None = None
        self._spool_away = False
        self._store_fails: str | None = None
        self._tidy_at = time.monotonic() + limits.tidy_interval_s
        executor.examiner.changed = self._stir

    @property
    def verbs(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        """What is done in every round, in this order."""
        return (
            self.reload,
            self.hold,
            self.take_in,
            self.obey,
            self.dispatch,
            self.publish,
            self.wind_down,
            self.tidy,
            self.report,
        )

    @property
    def quiet_verbs(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        """What is done of them where nothing has happened: signs of life, without asking the database for work."""
        return (self.reload, self.hold, self.tidy, self.report)

    async def run(self) -> None:
        """Work until stopped or drained, or (once) until nothing is left to do."""
        for number in STOP_SIGNALS:
            self._loop.add_signal_handler(number, self._stop)
        await self._operation.begin()
        self._watched = self._watcher.start()
        self._adopt(self._settings.limits)
        warming = asyncio.create_task(self._executor.start())
        warming.add_done_callback(lambda _: self._stir())
        try:
            while not self._finished():
                if not self._warm and warming.done() and warming.result() is None:
                    self._warm = True
                    self._snapshot.hurry()  # only now is it known what there is
                verbs = self.verbs if self._stirred else self.quiet_verbs
                self._stirred = False
                self._wake.clear()
                for verb in verbs:
                    await verb()
                self._operation.round_done(ready=self._warm)
                await self._rest()
        finally:
            self._operation.stopping()
            await self._clear_up(warming)
            await self._operation.end()

    async def reload(self) -> None:
        """Take over what SIGHUP asked to read again."""
        changed = await self._operation.reload()
        if changed is not None:
            self._settings = changed
            self._adopt(changed.limits)
            self._stir()

    async def hold(self) -> None:
        """See that the spool is still ours. Raises EpochLost, which ends this daemon."""
        try:
            await self._clerk.do(self._desk.upkeep.round)
        except (SpoolMissing, OSError):
            self._spool_away = True  # nobody can tell just now; each of the others copes with that
        else:
            if self._spool_away:
                self._owed.hurry()
                self._stir()
            self._spool_away = False

    async def take_in(self) -> None:
        """Claim what is ready in the inbox."""
        if self._claims:
            await self._claiming.round()

    async def obey(self) -> None:
        """Do what was asked for in control/."""
        if await self._controls.obey():
            self._snapshot.hurry()
            self._stir()  # whatever was asked, there may be something to do now

    async def dispatch(self) -> None:
        """Start queued jobs on free devices, unless the spool is away, where the files of some lie."""
        if (
            self._stop_by is not None
            or not self._warm
            or self._controls.pause is not None
            or self._spool_away
        ):
            return
        try:
            await self._scheduler.dispatch()
        except StoreUnavailable as error:
            log.warning("nothing can be started", action="dispatch_failed", reason=str(error))
            self._store_fails = str(error)
        else:
            self._store_fails = None

    async def publish(self) -> None:
        """Bring results to the outbox that are still owed to it."""
        self._owed.wait |= self._scheduler.results_wait
        self._scheduler.results_wait = False
        if await self._owed.round():
            self._stir()

    async def wind_down(self) -> None:
        """When stopping: give running jobs their grace, then put them back."""
        if self._stop_by is not None and time.monotonic() >= self._stop_by:
            self._scheduler.cancel_all()
            await self._scheduler.ended()

    async def tidy(self) -> None:
        """Remove what dead clients left behind, from time to time."""
        if time.monotonic() < self._tidy_at:
            return
        self._tidy_at = time.monotonic() + self._settings.limits.tidy_interval_s
        try:
            removed = await self._clerk.do(self._desk.tidy)
        except (SpoolMissing, StoreUnavailable, OSError) as error:
            log.warning("leftovers stay", action="tidy_failed", reason=str(error))
            return
        if removed:
            log.info("leftovers removed", action="tidied", count=removed)

    async def report(self) -> None:
        """Keep status.json fresh."""
        if self._snapshot.due_in_s > 0 and not self._finished():
            return
        await self._write_snapshot(self._snapshot.compose(self._holds))

    async def _write_snapshot(self, snapshot: dict[str, Any]) -> None:
        """Where it can be written just now. Raises EpochLost."""
        try:
            report = await self._clerk.do(self._snapshot.write, snapshot)
            await self._operation.reported(report)
        except (StoreUnavailable, StoreCorrupt, SpoolMissing, OSError) as error:
            # Of damage: whether it is any, the writer finds out, who looks a second time.
            log.warning("no snapshot", action="snapshot_failed", reason=str(error))

    @property
    def _holds(self) -> Holds:
        return Holds(self._controls.pause, self._controls.drain, self._trouble, self._ending)

    @property
    def _ending(self) -> Ending | None:
        if self._stop_by is not None:
            return Ending(left_s=round(max(0.0, self._stop_by - time.monotonic()), 3))
        return Ending() if self._controls.drain is not None else None

    @property
    def _claims(self) -> bool:
        """Whether the inbox is to be emptied at all."""
        return self._stop_by is None and self._controls.pause is None and self._controls.drain is None

    @property
    def _results_wait(self) -> bool:
        return self._owed.wait or self._scheduler.results_wait

    @property
    def _trouble(self) -> str | None:
        """What keeps jobs or results waiting, for people; None: nothing does."""
        results = f"results wait for the outbox: {self._owed.trouble}" if self._owed.trouble else None
        return "; ".join(filter(None, (self._claiming.held or self._store_fails, results))) or None

    def _finished(self) -> bool:
        if self._stop_by is not None:
            return self._scheduler.idle
        if not self._scheduler.idle or self._results_wait:
            return False
        if self._controls.pause is not None:  # nothing will be started: who came to finish, has finished
            return self._once or self._controls.drain is not None
        if not (self._warm and self._scheduler.queue_empty):
            return False
        return self._controls.drain is not None or (self._once and self._claiming.inbox_empty)

    async def _rest(self) -> None:
        """Until something happens or something is due, a sign of life at least."""
        if self._finished():
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), min(self._snapshot.due_in_s, *self._work_due_s()))
        has_work = not (self._scheduler.idle and self._scheduler.queue_empty) or self._results_wait
        self._stirred |= has_work or self._store_fails is not None or min(self._work_due_s()) <= 0

    def _stir(self) -> None:
        """Let the next round begin, and look for work in it."""
        self._stirred = True
        self._wake.set()

    def _work_due_s(self) -> list[float]:
        """Seconds until each thing is due that is more than a sign of life."""
        due_s = [self._controls.due_in_s]
        if self._claims:
            due_s.append(self._claiming.due_in_s)
        if self._stop_by is not None:
            due_s.append(max(0.0, self._stop_by - time.monotonic()))
        elif (rested_s := self._scheduler.due_in_s) is not None:
            due_s.append(rested_s)
        if self._store_fails is not None:
            due_s.append(RETRY_S)
        if (owed_s := self._owed.due_in_s) is not None:
            due_s.append(owed_s)
        return due_s

    def _adopt(self, limits: Limits) -> None:
        """Work by these limits from now on. What waits for its time keeps the time it has."""
        interval_s = limits.scan_interval_s if self._watched else limits.network_scan_interval_s
        self._claiming.interval_s = self._controls.interval_s = interval_s
        self._snapshot.interval_s = limits.status_interval_s
        self._scheduler.adopt(limits)
        self._desk.adopt(limits)

    def wake(self) -> None:
        """Let the next round begin. May be called from another thread."""
        self._loop.call_soon_threadsafe(self._stir)

    def _hinted(self, hint: Hint) -> None:
        """Called in the watcher's thread."""
        if hint.kind is HintKind.ARRIVED and hint.path is not None:
            self._claiming.hint(hint.path)
        self._loop.call_soon_threadsafe(self._look_again, hint.kind)

    def _look_again(self, kind: HintKind) -> None:
        if kind is not HintKind.ASKED:
            self._claiming.look_now()
        if kind in (HintKind.ASKED, HintKind.OVERFLOW):
            self._controls.look_now()
        self._stir()

    def _stop(self) -> None:
        """First signal: no new jobs, grace for running ones. Second: at once. More change nothing."""
        now = time.monotonic()
        if self._stop_by is not None and now >= self._stop_by:
            return
        self._stop_by = now if self._stop_by is not None else now + self._settings.limits.grace_s
        log.info("stopping", action="stopping", running=len(self._scheduler.running))
        self._operation.stopping()
        self._snapshot.hurry()
        self._stir()

    async def _clear_up(self, warming: asyncio.Task[None]) -> None:
        self._watcher.stop()
        if not warming.done():
            warming.cancel()
            await asyncio.gather(warming, return_exceptions=True)
        self._scheduler.cancel_all()
        await self._scheduler.ended()
        last = self._snapshot.compose(replace(self._holds, ending=Ending(over=True)))
        await self._executor.stop()  # before anything that a spool which is away may hold up
        with contextlib.suppress(EpochLost):  # another daemon tells how things are
            await self._write_snapshot(last)
