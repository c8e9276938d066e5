"""The pulse: signs of life, given by the event loop, and only while the daemon really does its rounds.

::

    every beat ──► wake the loop ──► was a round done since the last beat, or does the clerk wait for files?
                                          │ yes                                     │ no
                                    WATCHDOG=1, heartbeat.json                  silence: systemd starts it anew
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from kbd.daemon.operation import heartbeat
from kbd.daemon.operation.heartbeat import Heartbeat
from kbd.daemon.operation.notifier import Notifier
from kbd.daemon.operation.thread_activity import Activity, activity_of

log = structlog.get_logger(__name__)

BEAT_S: Final = 2.0
BEATS_PER_WATCHDOG: Final = 4
COMPUTING_LIMIT_S: Final = 600.0
"""One round may read and check so long without a pause; a batch of large jobs takes minutes."""


class Pulse:
    """Beats until it is cancelled.

    Args:
        state: where the heartbeat is written.
        notifier: the service manager.
        wake: has the loop do a round.
        clerk_thread: the id of the thread that touches files and database.

    Attributes:
        ready: jobs are taken.
        stopping: no more rounds are done; the service manager has its own limit for that.
        status: one line about what is going on.
    """

    def __init__(self, state: Path, notifier: Notifier, wake: Callable[[], None], clerk_thread: int) -> None:
        self._state = state
        self._notifier = notifier
        self._wake = wake
        self._clerk_thread = clerk_thread
        self._rounds = self._seen = 0
        self._round_at = time.monotonic()
        self._silent = self._owes_ready = False
        self._hurry = asyncio.Event()
        self.ready = self.stopping = False
        self.status = "starting"
        watchdog_s = notifier.watchdog_s
        self.interval_s = BEAT_S if watchdog_s is None else min(BEAT_S, watchdog_s / BEATS_PER_WATCHDOG)

    def round_done(self) -> None:
        """The loop went through all of its verbs."""
        self._rounds += 1
        self._round_at = time.monotonic()

    def become_ready(self) -> None:
        """Have that written and told at once, in this order: who was told may ask `kbd health` next."""
        self.ready = self._owes_ready = True
        self._hurry.set()

    async def run(self) -> None:
        """Beat."""
        while True:
            await self.beat()
            self._wake()
            # Not wait_for: a cancel that comes as the wait ends would be lost in it, and this would never end.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.interval_s):
                    await self._hurry.wait()
            self._hurry.clear()

    async def beat(self) -> bool:
        """One sign of life, if there is life. Returns whether there was."""
        why_dead = self._why_dead()
        self._seen = self._rounds
        if (why_dead is not None) is not self._silent:
            self._silent = why_dead is not None
            log.warning("signs of life", action="pulse", silent=self._silent, reason=why_dead)
        if why_dead is not None:
            return False
        self._notifier.alive()
        beat = Heartbeat.now(ready=self.ready, status=self.status)
        with contextlib.suppress(OSError):  # a full disk is told by others
            await asyncio.to_thread(heartbeat.write, self._state, beat)
        if beat.ready:
            self.tell_ready()
        return True

    def tell_ready(self) -> None:
        """Unless it was told, or is not so."""
        if self._owes_ready:
            self._owes_ready = False
            self._notifier.ready()

    def _why_dead(self) -> str | None:
        if self.stopping or self._rounds != self._seen or self._rounds == 0:
            return None
        activity = activity_of(self._clerk_thread)
        for_s = time.monotonic() - self._round_at
        if activity is Activity.WAITS_FOR_KERNEL:
            return None
        if activity is Activity.COMPUTES and for_s < COMPUTING_LIMIT_S:
            return None
        return f"no round was done for {for_s:.0f} s, and the clerk's thread {activity.value}"
