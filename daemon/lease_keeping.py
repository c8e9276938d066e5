"""Keeping the lease: a thread that shows all others that this daemon lives.

::

    event loop ──start──► thread: beat, wait, beat, …  ──spool lost──► `lost` (called in the thread)

A thread of its own, since the clerk may be busy with one large job for longer than a lease lasts. Where the file
system hangs, the thread hangs with it, and the lease runs out as it should.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from kbd.inbox.epoch import EpochLost
from kbd.inbox.lease import Lease
from kbd.inbox.spool import SpoolMissing

log = structlog.get_logger(__name__)

BEATS_PER_LEASE = 6
STOP_S = 2.0


class LeaseKeeper:
    """Beats from `start` to `stop`, which also gives the lease back.

    Args:
        lease: the spool's.
        lease_s: how long it lasts without a beat.

    Attributes:
        lost: called in the thread, once, when the spool belongs to another daemon.
    """

    def __init__(self, lease: Lease, lease_s: float) -> None:
        self._lease = lease
        self._pause_s = lease_s / BEATS_PER_LEASE
        self.lost: Callable[[], None] = lambda: None
        self._stopping = threading.Event()
        # Not waited for at exit: a file system that hangs must not keep the daemon from ending.
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and let a standby in at once."""
        self._stopping.set()
        self._thread.join(STOP_S)
        if not self._thread.is_alive():
            self._lease.release()

    def _beat(self) -> None:
        while not self._stopping.wait(self._pause_s):
            try:
                self._lease.beat()
            except EpochLost:
                self.lost()
                return
            except (SpoolMissing, OSError) as error:
                log.warning("the lease is not renewed", action="beat_failed", reason=str(error))
