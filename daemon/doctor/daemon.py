"""The daemon: does one work here, does it still, are its devices in service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kbd.daemon.cli.known_jobs import inbox_jobs
from kbd.daemon.cli.vital_signs import Health, take_vital_signs
from kbd.daemon.cli.wording import counted
from kbd.daemon.doctor.check import Check, Patient, fail, ok, warn
from kbd.inbox.spool import Spool
from kbd.inbox.spool_snapshot import read_snapshot

NAME: Final = "daemon"
SILENCE_S: Final = 30.0
DIAGNOSIS: Final = (
    "see STATE/logs/daemon.log; end it (SIGTERM, then SIGKILL) and start it again: nothing is lost"
)


def daemon(patient: Patient) -> Iterator[Check]:
    """Silence is a fault; absence one as soon as jobs wait."""
    signs = take_vital_signs(patient.place, SILENCE_S)
    match signs.health:
        case Health.HEALTHY:
            yield ok(NAME, signs.detail)
        case Health.STARTING:
            yield warn(NAME, str(signs), "wait a minute; if it stays so, see STATE/logs/daemon.log")
        case Health.SILENT:
            yield fail(NAME, signs.detail, DIAGNOSIS.replace("STATE", str(patient.settings.state)))
        case Health.ABSENT:
            yield _absent(patient, signs.detail)


def devices(patient: Patient) -> Iterator[Check]:
    """Those that a daemon took out of service."""
    snapshot = read_snapshot(Spool(patient.settings.spool))
    for device in snapshot.devices if snapshot is not None else ():
        if device.get("state") == "out":
            yield warn(
                "device",
                f"{device.get('key')} is out of service: {device.get('problem')}",
                "it is tried again by itself; if it stays so: nvidia-smi, dmesg, a reset of the GPU or the host",
            )


def _absent(patient: Patient, detail: str) -> Check:
    waiting = sum(1 for _ in inbox_jobs(Spool(patient.settings.spool)))
    start = "start one: kbd run, or systemctl start kbd"
    if waiting:
        return fail(NAME, f"{detail}, and {counted(waiting, 'job')} wait for one", start)
    return warn(NAME, detail, start)
