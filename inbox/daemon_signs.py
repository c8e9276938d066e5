"""Signs of a daemon that any host sees which mounts the spool: `status.json`, written anew every few seconds.

Its times are those of another host's clock, so they are never compared with ours: a daemon is taken for gone when
the file has not changed for a while that we measured ourselves.
"""

import os
import platform
import time
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from kbd.inbox.spool import Spool
from kbd.inbox.spool_snapshot import SpoolSnapshot, read_snapshot

SILENCE_S: Final = 10.0
"""A daemon writes its snapshot every 2 s; one that was silent for this long is not waited for."""


class Presence(Enum):
    """What is known about a daemon."""

    RUNNING = "running"
    UNSURE = "unsure"
    ABSENT = "absent"


class SnapshotWatch:
    """Watches a spool's snapshot, and remembers what it saw before."""

    def __init__(self, spool: Spool, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._spool = spool
        self._clock = clock
        self._last_text: str | None = None
        self._changed_at: float | None = None
        self._first_look: float | None = None

    def look(self) -> tuple[Presence, SpoolSnapshot | None]:
        """What can be said now; the more often it is called, the surer the answer."""
        snapshot = read_snapshot(self._spool)
        return self._judge(snapshot), snapshot

    def _judge(self, snapshot: SpoolSnapshot | None) -> Presence:
        if snapshot is None or not snapshot.daemon:
            return Presence.ABSENT
        now = self._clock()
        if self._first_look is None:
            self._first_look = now
        elif snapshot.text != self._last_text:
            self._changed_at = now
        self._last_text = snapshot.text
        if self._changed_at is not None:
            return Presence.RUNNING if now - self._changed_at < SILENCE_S else Presence.ABSENT
        if _has_died_here(snapshot.daemon) or now - self._first_look >= SILENCE_S:
            return Presence.ABSENT
        return Presence.UNSURE


def _has_died_here(said: dict[str, Any]) -> bool:
    """Whether the snapshot names a process of this host that is no more."""
    pid = said.get("pid")
    if said.get("host") != platform.node() or not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
