"""Upkeep of the spool while a daemon runs: it is seen to be ours in every round, and made whole now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from kbd.inbox.lease import Lease
from kbd.inbox.spool import Spool, SpoolMissing

log = structlog.get_logger(__name__)

MEND_INTERVAL_S: Final = 30.0


class Upkeep:
    """Used in the clerk's thread.

    Args:
        spool: whose folders somebody may remove.
        lease: the spool's.
        clock: our own monotonic clock, in seconds.
    """

    def __init__(self, spool: Spool, lease: Lease, clock: Callable[[], float] = time.monotonic) -> None:
        self._spool = spool
        self._lease = lease
        self._clock = clock
        self._mend_at = clock() + MEND_INTERVAL_S

    def round(self) -> None:
        """Raises EpochLost when the spool is not ours, SpoolMissing and OSError when that cannot be known."""
        if self._clock() >= self._mend_at:
            self._mend_at = self._clock() + MEND_INTERVAL_S
            self._mend()
        self._lease.require()

    def _mend(self) -> None:
        """Make folders again that were removed; a lost `claimed/EPOCH` alone means that the spool is another's."""
        try:
            made = self._spool.mend()
        except (SpoolMissing, OSError) as error:
            log.debug("not mended", action="mend_failed", reason=str(error))
            return
        if made:
            log.warning(
                "folders of the spool were gone", action="mended", folders=[str(each) for each in made]
            )
