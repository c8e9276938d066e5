"""Claiming: when to look into the inbox, what came of it, and why nothing can be claimed just now."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path

import structlog

from kbd.daemon.clerk import Clerk
from kbd.daemon.desk import Desk
from kbd.inbox.spool import SpoolMissing
from kbd.store.errors import StoreUnavailable

log = structlog.get_logger(__name__)

MAX_HINTS = 10_000
RETRY_S = 2.0
QUICKEST_S = 1.0


class Claiming:
    """Looks when a hint came, when something is due, and at regular times; a look is the truth.

    Where nothing tells of arrivals the regular looks are all there is: they come quickly after something was
    claimed, and ever more rarely while nothing is.

    Attributes:
        interval_s: the longest time between two looks without any reason.
        inbox_empty: the last look found nothing, and nothing that is still arriving.
        held: why nothing can be claimed now; None when all is well.
    """

    def __init__(self, clerk: Clerk, desk: Desk, interval_s: float) -> None:
        self._clerk = clerk
        self._desk = desk
        self._hints: deque[Path] = deque(maxlen=MAX_HINTS)
        self._look_at = 0.0
        self._pause_s = QUICKEST_S
        self.interval_s = interval_s
        self.inbox_empty = False
        self.held: str | None = None

    @property
    def due_in_s(self) -> float:
        """Seconds until the next look."""
        return 0.0 if self._hints and self.held is None else max(0.0, self._look_at - time.monotonic())

    def hint(self, path: Path) -> None:
        """Something was renamed into place. May be called from another thread."""
        self._hints.append(path)

    def look_now(self) -> None:
        """Let the next round look, whatever time it is."""
        self._look_at = 0.0

    async def round(self) -> None:
        """Claim one batch, if it is time to look."""
        if self.due_in_s > 0:
            return
        hints = [self._hints.popleft() for _ in range(len(self._hints))]
        try:
            taken = await self._clerk.do(self._desk.take_in.round, hints)
        except (SpoolMissing, StoreUnavailable, OSError) as error:
            self._hold(str(error), hints)
            return
        if taken.held is not None:
            self._hold(taken.held, hints)
            return
        self._go_on()
        due_s = self._desk.scanner.next_look_s()
        self.inbox_empty = due_s is None and not taken.any and not taken.waiting
        if taken.any:  # there may be more than one batch: look until a look finds nothing
            self._look_at, self._pause_s = time.monotonic(), QUICKEST_S
            return
        if taken.waiting:
            due_s = RETRY_S if due_s is None else min(RETRY_S, due_s)
        self._rest(due_s)

    def _rest(self, due_s: float | None) -> None:
        """Until something is due, but no longer than to the next regular look: others may deliver meanwhile."""
        regular_s = min(self._pause_s, self.interval_s)
        if due_s is None or due_s >= regular_s:
            due_s = regular_s
            self._pause_s = min(2 * self._pause_s, self.interval_s)
        self._look_at = time.monotonic() + due_s

    def _hold(self, reason: str, hints: list[Path]) -> None:
        """Try again soon, and say so."""
        self._hints.extend(hints)
        self._look_at = time.monotonic() + RETRY_S
        self.inbox_empty = False
        if self.held is None:
            log.warning("nothing is claimed", action="held", reason=reason)
        self.held = reason

    def _go_on(self) -> None:
        if self.held is not None:
            log.info("claiming goes on", action="claiming_resumed")
        self.held = None
