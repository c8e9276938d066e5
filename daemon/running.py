"""A daemon from its first to its last breath: lock, ownership of the spool, desk, service, and all given back.

::

    run_daemon ──lock of the state folder──► _serve ──standby, lease──► _work ──desk, executor──► Service.run
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Sequence
from typing import NoReturn

import structlog

from kbd.daemon import logs
from kbd.daemon.clerk import Clerk
from kbd.daemon.config import Settings
from kbd.daemon.desk import Desk, open_spool
from kbd.daemon.devices import Device, discover
from kbd.daemon.executor.kernel_calls import adopt_orphans
from kbd.daemon.executor.local import LocalExecutor
from kbd.daemon.job_logs.log_writing import LogWriting
from kbd.daemon.lease_keeping import LeaseKeeper
from kbd.daemon.opening import opened_desk
from kbd.daemon.ownership import StateLock
from kbd.daemon.service import STOP_SIGNALS, Service
from kbd.daemon.standby import Standby
from kbd.inbox.pause import read_pause

log = structlog.get_logger(__name__)

COLLECTOR_THRESHOLDS = (10_000, 20, 20)


async def _serve(settings: Settings, lock: StateLock, *, once: bool) -> None:
    """Become the owner of the spool, be that, and give it back."""
    devices = discover(settings.device, cpu_slots=settings.cpu_slots, per_device=settings.device_slots)
    names = [device.name for device in devices]
    log.info("starting", action="starting", spool=str(settings.spool), devices=names)
    clerk = Clerk()
    try:
        spool = await clerk.do(open_spool, settings)
        lease = await Standby(settings, clerk, lock.say).become_owner(spool, wait=not once)
        keeper = LeaseKeeper(lease, settings.limits.lease_s)
        keeper.start()
        try:
            desk = await opened_desk(clerk, settings, spool, lease, after_crash=lock.after_crash)
            try:
                await _work(settings, clerk, desk, devices, keeper, once=once)
            finally:
                await clerk.do(desk.close)
        finally:
            keeper.stop()
    finally:
        clerk.close()
        log.info("stopped", action="stopped")


async def _work(
    settings: Settings,
    clerk: Clerk,
    desk: Desk,
    devices: Sequence[Device],
    keeper: LeaseKeeper,
    *,
    once: bool,
) -> None:
    job_logs = LogWriting(desk.logs)
    executor = LocalExecutor(
        devices,
        settings.work,
        settings.logs,
        job_logs,
        sandboxing=settings.sandboxing,
        compiling=settings.compilers,
        reference_uses=settings.reference_uses,
    )
    pause = await clerk.do(read_pause, desk.spool)
    _spare_the_collector()
    service = Service(settings, clerk, desk, executor, job_logs, pause=pause, once=once)
    keeper.lost = service.wake
    await service.run()


def _spare_the_collector() -> None:
    """Leave what was imported out of every search for garbage, and search less often.

    A seventh of the time in which thousands of jobs are claimed would go into that.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)


def _leave(number: int, frame: object) -> NoReturn:
    """A stop before there is anything to stop."""
    del number, frame
    raise SystemExit(0)


class _DaemonLoop(asyncio.SelectorEventLoop):
    """A loop whose end gives no signal its default back.

    The default kills: a stop that came once more, or to any thread, would turn a clean end into a death by signal.
    """

    def remove_signal_handler(self, sig: int) -> bool:
        """Keep it: what it does is nothing once this loop is closed."""
        del sig
        return False

    def close(self) -> None:
        """As every loop; signals no longer wake it."""
        signal.set_wakeup_fd(-1)
        super().close()


def run_daemon(settings: Settings, *, once: bool = False, console: bool = True) -> None:
    """Run a daemon until it is stopped or drained (or, `once`, until the inbox is done).

    Raises AlreadyRunning, SpoolTaken, EpochLost, SpoolUnfit, NoDevice, SpoolMissing, StoreError, NurseryFailed,
    JudgeFailed, IsolationTooWeak or MetricsUnavailable, each with a message for the user.
    """
    settings.state.mkdir(parents=True, exist_ok=True)
    logs.configure(settings.logs, console=console)
    for number in STOP_SIGNALS:
        signal.signal(number, _leave)  # until the loop takes over
    signal.signal(signal.SIGHUP, lambda *_: None)  # no settings to read again yet; they are just being read
    lock = StateLock(settings.lock)
    lock.acquire({"spool": str(settings.spool)})
    try:
        adopt_orphans()
        with asyncio.Runner(loop_factory=_DaemonLoop) as runner:
            runner.run(_serve(settings, lock, once=once))
    finally:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # there is nothing left to stop
        lock.release()
