"""The daemon: a list of named verbs, done again and again whenever something has happened.

::

    inotify, timers, signals, finished jobs ──wake──► take_in → dispatch → publish → report

The loop itself touches neither files nor database (the clerk's thread does) and never imports torch.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NoReturn

import structlog

from kbd.daemon import logs
from kbd.daemon.clerk import Clerk
from kbd.daemon.config import Settings
from kbd.daemon.desk import Desk, open_desk
from kbd.daemon.devices import discover
from kbd.daemon.executor.kernel_calls import adopt_orphans
from kbd.daemon.executor.local import LocalExecutor
from kbd.daemon.ownership import StateLock
from kbd.daemon.scheduler import Scheduler
from kbd.daemon.snapshot import Snapshot
from kbd.inbox.spool import SpoolMissing
from kbd.inbox.watcher import Hint, HintKind, InboxWatcher
from kbd.store.errors import StoreUnavailable

log = structlog.get_logger(__name__)

MAX_HINTS = 10_000
RETRY_S = 2.0


class Service:
    """One daemon on one spool, once its desk is open."""

    def __init__(
        self, settings: Settings, clerk: Clerk, desk: Desk, executor: LocalExecutor, *, once: bool
    ) -> None:
        self._settings = settings
        self._once = once
        self._clerk = clerk
        self._desk = desk
        self._executor = executor
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._hints: deque[Path] = deque(maxlen=MAX_HINTS)
        self._scheduler = Scheduler(executor, clerk, desk, settings.limits, self._wake.set)
        self._snapshot = Snapshot(executor, self._scheduler, desk, settings.limits.status_interval_s)
        self._watcher = InboxWatcher(desk.spool, self._hinted)
        self._watched = False
        self._warm = False
        self._stop_by: float | None = None
        self._inbox_empty = False
        self._look_at = 0.0
        self._owed = False
        self._paused: str | None = None
        self._verbs: tuple[Callable[[], Awaitable[None]], ...] = (
            self.take_in,
            self.dispatch,
            self.publish,
            self.wind_down,
            self.report,
        )

    async def run(self) -> None:
        """Work until stopped, or (once) until nothing is left to do."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop)
        self._watched = self._watcher.start()
        warming = asyncio.create_task(self._executor.start())
        warming.add_done_callback(lambda _: self._wake.set())
        try:
            while not self._finished():
                self._warm = self._warm or (warming.done() and warming.result() is None)
                self._wake.clear()
                for verb in self._verbs:
                    await verb()
                await self._rest()
        finally:
            await self._clear_up(warming)

    async def take_in(self) -> None:
        """Claim what is ready in the inbox."""
        if self._stop_by is not None or not (self._hints or time.monotonic() >= self._look_at):
            return
        hints = [self._hints.popleft() for _ in range(len(self._hints))]
        try:
            taken = await self._clerk.do(self._desk.take_in.round, hints)
        except (SpoolMissing, StoreUnavailable, OSError) as error:
            self._pause(error, hints)
            return
        if self._paused is not None:
            log.info("goes on", action="resumed")
        self._paused = None
        due_s = self._desk.scanner.next_look_s()
        self._inbox_empty = due_s is None and not taken.any
        if taken.any:  # there may be more than one batch: look until a look finds nothing
            due_s = 0.0
        self._look_at = time.monotonic() + (self._interval_s() if due_s is None else due_s)

    async def dispatch(self) -> None:
        """Start queued jobs on free devices."""
        if self._stop_by is None and self._warm:
            await self._scheduler.dispatch()

    async def publish(self) -> None:
        """Bring results to the outbox that are still owed to it."""
        try:
            published = await self._clerk.do(self._desk.publishing.publish_owed)
        except (StoreUnavailable, OSError) as error:
            self._owed = True
            log.warning("results wait", action="publish_failed", reason=str(error))
            return
        self._owed = published > 0
        if published:
            self._wake.set()

    async def wind_down(self) -> None:
        """When stopping: give running jobs their grace, then put them back."""
        if self._stop_by is not None and time.monotonic() >= self._stop_by:
            self._scheduler.cancel_all()
            await self._scheduler.ended()

    async def report(self) -> None:
        """Keep status.json fresh."""
        if self._snapshot.due_in_s > 0 and not self._finished():
            return
        try:
            await self._clerk.do(self._snapshot.write, self._snapshot.compose(self._paused))
        except (StoreUnavailable, OSError) as error:
            log.warning("no snapshot", action="snapshot_failed", reason=str(error))

    def _finished(self) -> bool:
        if self._stop_by is not None:
            return self._scheduler.idle
        idle = self._scheduler.idle and self._scheduler.queue_empty
        return self._once and self._warm and idle and self._inbox_empty and not self._owed

    async def _rest(self) -> None:
        """Until something happens or something is due."""
        now = time.monotonic()
        due_s = [self._snapshot.due_in_s, max(0.0, self._look_at - now)]
        if self._stop_by is not None:
            due_s = [max(0.0, self._stop_by - now)]
        if self._finished():
            return
        try:
            await asyncio.wait_for(self._wake.wait(), min(due_s))
        except TimeoutError:
            return

    def _interval_s(self) -> float:
        limits = self._settings.limits
        return limits.scan_interval_s if self._watched else limits.network_scan_interval_s

    def _pause(self, error: Exception, hints: list[Path]) -> None:
        """The inbox cannot be worked on now; try again soon, and say so."""
        self._hints.extend(hints)
        self._look_at = time.monotonic() + RETRY_S
        if self._paused is None:
            log.warning("paused", action="paused", reason=str(error))
        self._paused = str(error)

    def _hinted(self, hint: Hint) -> None:
        """Called in the watcher's thread."""
        if hint.kind is HintKind.ARRIVED and hint.path is not None:
            self._hints.append(hint.path)
        self._loop.call_soon_threadsafe(self._look_now)

    def _look_now(self) -> None:
        self._look_at = 0.0
        self._wake.set()

    def _stop(self) -> None:
        """First signal: no new jobs, grace for running ones. Second: at once."""
        now = time.monotonic()
        self._stop_by = now if self._stop_by is not None else now + self._settings.limits.grace_s
        log.info("stopping", action="stopping", running=len(self._scheduler.running))
        self._wake.set()

    async def _clear_up(self, warming: asyncio.Task[None]) -> None:
        self._watcher.stop()
        if not warming.done():
            warming.cancel()
            await asyncio.gather(warming, return_exceptions=True)
        self._scheduler.cancel_all()
        await self._scheduler.ended()
        await self._executor.stop()


async def _serve(settings: Settings, *, once: bool) -> None:
    devices = discover(settings.device, cpu_slots=settings.cpu_slots)
    log.info(
        "starting", action="starting", spool=str(settings.spool), devices=[device.name for device in devices]
    )
    clerk = Clerk()
    try:
        desk = await clerk.do(open_desk, settings)
        try:
            executor = LocalExecutor(devices, settings.work, settings.logs)
            await Service(settings, clerk, desk, executor, once=once).run()
        finally:
            await clerk.do(desk.close)
    finally:
        clerk.close()
        log.info("stopped", action="stopped")


def _leave(number: int, frame: object) -> NoReturn:
    """A stop before there is anything to stop."""
    del number, frame
    raise SystemExit(0)


def run_daemon(settings: Settings, *, once: bool = False, console: bool = True) -> None:
    """Run a daemon until it is stopped (or, `once`, until the inbox is done).

    Raises AlreadyRunning, NoDevice, SpoolMissing, StoreError, NurseryFailed or JudgeFailed, each with a message
    for the user.
    """
    settings.state.mkdir(parents=True, exist_ok=True)
    logs.configure(settings.logs, console=console)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)  # until the loop takes over
    lock = StateLock(settings.lock)
    lock.acquire({"spool": str(settings.spool)})
    try:
        adopt_orphans()
        asyncio.run(_serve(settings, once=once))
    finally:
        lock.release()
