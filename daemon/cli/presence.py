"""Whether a daemon works on a spool: certain on its own host, a matter of watching from any other.

On the daemon's host the lock of the state folder tells. Elsewhere there is only what `kbd.inbox.daemon_signs` sees.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kbd.daemon.cli.place import Place
from kbd.inbox.daemon_signs import SILENCE_S, Presence, SnapshotWatch
from kbd.inbox.spool import Spool
from kbd.inbox.spool_snapshot import SpoolSnapshot

__all__ = ["SILENCE_S", "DaemonWatch", "Presence", "Sighting"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """One look: is there a daemon, and what did it say about itself (pid, host, version…).

    `standby`: what the daemon of our state folder says, where it only waits to take the spool over.
    """

    presence: Presence
    about: dict[str, Any]
    snapshot: SpoolSnapshot | None
    standby: dict[str, Any] | None = None

    @property
    def ending(self) -> dict[str, Any] | None:
        """What the daemon last said of its end, where it is one that was asked to end."""
        snapshot = self.snapshot
        if self.presence is Presence.ABSENT or snapshot is None:
            return None
        return snapshot.ending if snapshot.daemon.get("pid") == self.about.get("pid") else None


class DaemonWatch:
    """Looks for the daemon of a place, and remembers what it saw before."""

    def __init__(self, place: Place, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._place = place
        self._snapshots = SnapshotWatch(Spool(place.spool_root), clock=clock)

    def look(self) -> Sighting:
        """What can be said now; the more often it is called, the surer the answer."""
        presence, snapshot = self._snapshots.look()
        said = snapshot.daemon if snapshot is not None else {}
        local = _local_daemon(self._place)
        standby = local if local is not None and local.get("role") == "standby" else None
        if local is not None and standby is None:
            return Sighting(Presence.RUNNING, said | local, snapshot)
        return Sighting(presence, said, snapshot, standby)


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
