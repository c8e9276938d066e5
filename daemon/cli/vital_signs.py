"""Whether a daemon is alive and takes jobs, for probes: one look on its own host, ten seconds from any other."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from kbd.daemon.cli.place import Place
from kbd.daemon.cli.presence import DaemonWatch, Presence
from kbd.daemon.cli.wording import seconds
from kbd.daemon.patience import SpoolSilent
from kbd.inbox.errors import InboxError

SCHEMA_VERSION: Final = 1
LOOK_INTERVAL_S: Final = 0.5


class Health(Enum):
    """What is known of the daemon."""

    HEALTHY = "healthy"
    STARTING = "starting"
    SILENT = "silent"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class VitalSigns:
    """One finding. `silent_s`: since the last sign of life, where that is known."""

    health: Health
    detail: str
    pid: int | None = None
    silent_s: float | None = None

    def __str__(self) -> str:
        return f"{self.health.value}: {self.detail}"

    def as_document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "schema_version": SCHEMA_VERSION,
            "healthy": self.health is Health.HEALTHY,
            "health": self.health.value,
            "detail": self.detail,
            "pid": self.pid,
            "silent_s": None if self.silent_s is None else round(self.silent_s, 3),
        }


def take_vital_signs(
    place: Place, longest_silence_s: float, *, pause: Callable[[float], None] = time.sleep
) -> VitalSigns:
    """Look at the heartbeat where this host has it, else watch the spool's snapshot for a while."""
    from kbd.daemon.ownership import running_daemon

    try:
        about = running_daemon(place.state)
    except OSError:
        about = None  # another user's folder: what the spool says must do
    if about is not None:
        return _of_heartbeat(place, about, longest_silence_s)
    return _of_snapshot(place, pause)


def _of_heartbeat(place: Place, about: dict[str, Any], longest_silence_s: float) -> VitalSigns:
    from kbd.daemon.operation import heartbeat

    try:
        beat = heartbeat.read(place.state)
    except OSError as error:
        return VitalSigns(Health.SILENT, f"its heartbeat cannot be read: {error.strerror}", about.get("pid"))
    pid = about.get("pid")
    if beat is None or beat.pid != pid or beat.age_s is None:
        return VitalSigns(Health.STARTING, f"the daemon (pid {pid}) was just started", pid)
    if beat.age_s > longest_silence_s:
        detail = f"the daemon (pid {pid}) gave no sign of life for {seconds(beat.age_s)}"
        return VitalSigns(Health.SILENT, detail, pid, beat.age_s)
    health = Health.HEALTHY if beat.ready else Health.STARTING
    return VitalSigns(health, beat.status, pid, beat.age_s)


def _of_snapshot(place: Place, pause: Callable[[float], None]) -> VitalSigns:
    try:
        place.spool()
    except SpoolSilent as error:
        return VitalSigns(Health.SILENT, str(error))
    except (InboxError, OSError):
        pass  # without a spool there is no snapshot either
    watch = DaemonWatch(place)
    while (sighting := watch.look()).presence is Presence.UNSURE:
        pause(LOOK_INTERVAL_S)
    if sighting.presence is Presence.RUNNING:
        return VitalSigns(Health.HEALTHY, f"a daemon on {sighting.about.get('host')} writes its snapshot")
    return VitalSigns(Health.ABSENT, f"no daemon works on {place.spool_root}")
