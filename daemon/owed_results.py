"""Results that are owed to the outbox: brought there in every round, and ever more rarely while it refuses."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from kbd.daemon.clerk import Clerk
from kbd.daemon.desk import Desk
from kbd.inbox.spool import SpoolMissing
from kbd.store.errors import StoreUnavailable

log = structlog.get_logger(__name__)

FIRST_REST_S = 1.0
LONGEST_REST_S = 30.0


class OwedResults:
    """Publishes, and rests after each refusal, twice as long as after the one before.

    Args:
        clerk: does the work.
        desk: whose results.
        clock: our own monotonic clock, in seconds.

    Attributes:
        wait: there may be some.
        trouble: why the outbox does not have them; None where nothing failed.
    """

    def __init__(self, clerk: Clerk, desk: Desk, clock: Callable[[], float] = time.monotonic) -> None:
        self._clerk = clerk
        self._desk = desk
        self._clock = clock
        self._rest_s = FIRST_REST_S
        self._again_at = 0.0
        self.wait = False
        self.trouble: str | None = None

    @property
    def due_in_s(self) -> float | None:
        """Seconds until they are tried again; None: nothing was refused."""
        return None if self.trouble is None else max(0.0, self._again_at - self._clock())

    def hurry(self) -> None:
        """End the rest: something has changed for the better."""
        self._again_at = 0.0

    async def round(self) -> bool:
        """Publish a batch, unless it is time to rest. Returns whether there was any. Raises EpochLost."""
        if self.due_in_s:
            return False
        try:
            published = await self._clerk.do(self._desk.publishing.publish_owed)
        except (StoreUnavailable, SpoolMissing, OSError) as error:
            self._rest(str(error))
            return False
        self.wait, self.trouble, self._rest_s = published > 0, None, FIRST_REST_S
        return self.wait

    def _rest(self, reason: str) -> None:
        log.warning("results wait", action="publish_failed", reason=reason, seconds=self._rest_s)
        self.wait, self.trouble = True, reason
        self._again_at = self._clock() + self._rest_s
        self._rest_s = min(2 * self._rest_s, LONGEST_REST_S)
