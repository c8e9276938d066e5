"""Whether a daemon works on a spool: certain on its own host, a matter of watching from any other.

On the daemon's host the lock of the state folder tells. Elsewhere there is only `status.json`, which a living
daemon writes anew every few seconds. Its times are those of another host's clock, so they are never compared
with ours: a daemon is taken for gone when the file has not changed for a while that we measured ourselves.
"""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from kbd.daemon.cli.place import Place
from kbd.daemon.cli.spool_snapshot import SpoolSnapshot, read_snapshot
from kbd.inbox.spool import Spool

SILENCE_S: Final = 10.0
"""A daemon writes its snapshot every 2 s; one that was silent for this long is not waited for."""


class Presence(Enum):
    """What is known about a daemon."""

    RUNNING = "running"
    UNSURE = "unsure"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Sighting:
    """One look: is there a daemon, and what did it say about itself (pid, host, version…).

    `standby`: what the daemon of our state folder says, where it only waits to take the spool over.
    """

    presence: Presence
    about: dict[str, Any]
    snapshot: SpoolSnapshot | None
    standby: dict[str, Any] | None = None


class DaemonWatch:
    """Looks for the daemon of a place, and remembers what it saw before."""

    def __init__(self, place: Place, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._place = place
        self._clock = clock
        self._last_text: str | None = None
        self._changed_at: float | None = None
        self._first_look: float | None = None

    def look(self) -> Sighting:
        """What can be said now; the more often it is called, the surer the answer."""
        snapshot = read_snapshot(Spool(self._place.spool_root))
        said = snapshot.daemon if snapshot is not None else {}
        local = _local_daemon(self._place)
        standby = local if local is not None and local.get("role") == "standby" else None
        if local is not None and standby is None:
            return Sighting(Presence.RUNNING, said | local, snapshot)
        return Sighting(self._judge(snapshot, said), said, snapshot, standby)

    def _judge(self, snapshot: SpoolSnapshot | None, said: dict[str, Any]) -> Presence:
        if snapshot is None or not said:
            return Presence.ABSENT
        now = self._clock()
        if self._first_look is None:
            self._first_look = now
        elif snapshot.text != self._last_text:
            self._changed_at = now
        self._last_text = snapshot.text
        if self._changed_at is not None:
            return Presence.RUNNING if now - self._changed_at < SILENCE_S else Presence.ABSENT
        if _has_died_here(said) or now - self._first_look >= SILENCE_S:
            return Presence.ABSENT
        return Presence.UNSURE


def _local_daemon(place: Place) -> dict[str, Any] | None:
    """The daemon that holds the state folder, if it works on this very spool."""
    from kbd.daemon.ownership import running_daemon

    try:
        found = running_daemon(place.state)
    except OSError:
        return None  # another user's folder: what the spool says must do
    if found is None or found.get("spool", str(place.spool_root)) != str(place.spool_root):
        return None
    return found


def _has_died_here(said: dict[str, Any]) -> bool:
    """Whether the snapshot names a process of this host that is no more."""
    pid = said.get("pid")
    if said.get("host") != platform.node() or not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
