"""Becoming the owner of the spool: at once where nobody is, else once the owner was silent for a whole lease.

::

    look at lease/ ─┬─ nobody, or one who is dead for certain ──────► take it ─┬─► owner
      ▲             ├─ silent for a whole lease time of our clock ──► take it ─┤
      └── a while ──┴─ beats: stand by                                         └─ somebody was quicker: stand by
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog

from kbd.daemon.claimant import claimant, is_gone
from kbd.daemon.clerk import Clerk
from kbd.daemon.config import Settings
from kbd.daemon.operation.notifier import Notifier
from kbd.inbox.lease import FoundLease, Lease, LeaseWatch, find_lease, take_lease
from kbd.inbox.spool import Spool, SpoolMissing

log = structlog.get_logger(__name__)

LOOKS_PER_LEASE = 10


class SpoolTaken(Exception):
    """Another daemon owns the spool, and this one was not to wait for it."""


class Standby:
    """Waits for the spool. `say` is told what others should read about this daemon."""

    def __init__(self, settings: Settings, clerk: Clerk, say: Callable[[dict[str, Any]], None]) -> None:
        self._clerk = clerk
        self._say = say
        lease_s = settings.limits.lease_s
        self._look_s = lease_s / LOOKS_PER_LEASE
        self._ours = claimant(settings.state, lease_s)
        self._watch = LeaseWatch(lease_s, time.monotonic, longest_gap_s=2 * self._look_s)
        self._notifier = Notifier()
        self._told: str | None = None

    async def become_owner(self, spool: Spool, *, wait: bool = True) -> Lease:
        """Until the spool is ours. Raises SpoolTaken when not to wait and the owner is seen to be alive."""
        while True:
            try:
                lease = await self._clerk.do(self._try, spool)
            except (SpoolMissing, OSError) as error:
                if self._told is None:
                    raise
                log.warning("lease/ cannot be read", action="standby_failed", reason=str(error))
                lease = None
            if lease is not None:
                log.info("owner", action="owner", epoch=lease.number)
                self._say({"role": "owner", "epoch": lease.number})
                return lease
            if not wait and self._watch.changes > 0:
                raise SpoolTaken(
                    f"{self._told} owns {spool.root}; stop it first, or leave the jobs to it, "
                    "or wait as a standby: kbd run"
                )
            self._notifier.alive()
            await asyncio.sleep(self._look_s)

    def _try(self, spool: Spool) -> Lease | None:
        spool.require()
        found = find_lease(spool)
        if found is None or self._is_over(found):
            return take_lease(spool, self._ours, found)
        self._tell(found)
        return None

    def _is_over(self, found: FoundLease) -> bool:
        if found.record is not None and is_gone(found.record, self._ours):
            return True
        if not self._watch.is_silent(found):
            return False
        log.warning("the owner is silent", action="owner_silent", holder=found.holder, epoch=found.number)
        return True

    def _tell(self, found: FoundLease) -> None:
        if self._told == found.holder:
            return
        self._told = found.holder
        log.info("standing by", action="standby", holder=found.holder, epoch=found.number)
        self._notifier.ready()  # a standby does all that it has to, for as long as that may be
        self._notifier.status(f"standing by: {found.holder} owns the spool")
        self._say({"role": "standby", "owner": found.holder, "epoch": found.number})
