"""Opening the desk where the database fails for a moment: a daemon that starts waits, as one that runs does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog

from kbd.daemon.clerk import Clerk
from kbd.daemon.config import Settings
from kbd.daemon.desk import Desk, open_desk
from kbd.inbox.lease import Lease
from kbd.inbox.spool import Spool
from kbd.store.errors import StoreUnavailable

log = structlog.get_logger(__name__)

PAUSES_S: Final = (1.0, 5.0)


async def opened_desk(
    clerk: Clerk,
    settings: Settings,
    spool: Spool,
    lease: Lease,
    *,
    after_crash: bool,
    pauses_s: Iterable[float] = PAUSES_S,
) -> Desk:
    """The desk, tried once more after each of the pauses. Raises as `open_desk` does.

    What was begun is gone on with: it is what a next daemon would find.
    """
    for pause_s in pauses_s:
        try:
            return await clerk.do(open_desk, settings, spool, lease, after_crash=after_crash)
        except StoreUnavailable as error:
            log.warning("the database cannot be used yet", action="database_waits", reason=str(error))
        await asyncio.sleep(pause_s)
    return await clerk.do(open_desk, settings, spool, lease, after_crash=after_crash)
