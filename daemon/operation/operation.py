"""All that a running daemon does for those who operate it; the service calls, the parts do the work."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from kbd.daemon.clerk import Clerk
from kbd.daemon.config import ConfigError, Settings, resolve_again
from kbd.daemon.configuration.reloading import merge
from kbd.daemon.operation.metrics import Metrics
from kbd.daemon.operation.notifier import Notifier
from kbd.daemon.operation.pulse import Pulse

log = structlog.get_logger(__name__)


class Operation:
    """Service manager, pulse, reloading and metrics of one daemon. Raises MetricsUnavailable.

    Args:
        settings: as the daemon was started.
        clerk: reads the file of settings.
        wake: has the loop do a round.
    """

    def __init__(self, settings: Settings, clerk: Clerk, wake: Callable[[], None]) -> None:
        self._settings = settings
        self._clerk = clerk
        self._wake = wake
        self._notifier = Notifier()
        self._pulse: Pulse | None = None
        self._beating: asyncio.Task[None] | None = None
        self._asked = self._tells_ready = False
        self._refused: str | None = None
        folders = {"spool": settings.spool, "state": settings.state}
        wanted = settings.metrics.file is not None or settings.metrics.port is not None
        self._metrics = Metrics(settings.metrics, folders) if wanted else None

    async def begin(self) -> None:
        """Listen to SIGHUP, and let the pulse beat."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._ask)
        thread = await self._clerk.do(threading.get_native_id)
        self._pulse = Pulse(self._settings.state, self._notifier, self._wake, thread)
        self._beating = asyncio.create_task(self._pulse.run())

    def round_done(self, *, ready: bool) -> None:
        """All verbs were done; `ready`: devices and sandbox are known, so that jobs are taken and run."""
        if self._pulse is None:
            return
        self._pulse.round_done()
        if ready and not self._pulse.ready:
            self._pulse.become_ready()
            log.info("ready", action="ready")
        if self._tells_ready:  # what was read again is in force
            self._tells_ready = False
            self._notifier.ready()

    async def reload(self) -> Settings | None:
        """If SIGHUP asked for it: the settings to go on with. None: go on with those there are."""
        if not self._asked:
            return None
        self._asked = False
        self._refused = None
        if self._pulse is not None and self._pulse.ready:
            self._tells_ready = True
            self._notifier.reloading()
        try:
            reloaded = merge(self._settings, await self._clerk.do(resolve_again, self._settings))
        except ConfigError as error:
            self._refused = str(error)
            log.error("settings kept", action="reload_refused", reason=str(error), problems=error.problems)
            return None
        log.info(
            "settings read again",
            action="reloaded",
            changed=reloaded.applied,
            needs_restart=reloaded.restart,
        )
        self._settings = reloaded.settings
        return reloaded.settings

    async def reported(self, report: Mapping[str, Any]) -> None:
        """A snapshot was written."""
        status = _in_words(report, self._refused)
        self._notifier.status(status)
        if self._pulse is not None:
            self._pulse.status = status
        if self._metrics is not None:
            try:
                await asyncio.to_thread(self._metrics.update, report)
            except OSError as error:
                log.warning("no metrics", action="metrics_failed", reason=str(error))

    def stopping(self) -> None:
        """Somebody asked the daemon to end, or it has nothing left to do."""
        if self._pulse is not None and not self._pulse.stopping:
            self._pulse.stopping = True
            self._pulse.tell_ready()  # one that was never ready has failed, in the eyes of systemd
            self._notifier.stopping()

    async def end(self) -> None:
        """The last of it."""
        if self._beating is not None:
            self._beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._beating
        if self._metrics is not None:
            await asyncio.to_thread(self._metrics.close)

    def _ask(self) -> None:
        self._asked = True
        self._wake()


def _in_words(report: Mapping[str, Any], refused: str | None) -> str:
    parts = [
        f"{len(report['running'])} running, {report['queue'].get('submitted', 0)} waiting",
        f"paused {report['paused']}" if report["pause"] else report["paused"] or "",
        f"settings kept, the new ones are wrong: {refused}" if refused else "",
    ]
    return "; ".join(filter(None, parts))
