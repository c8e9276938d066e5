"""The examination: a list of things to look at, one after the other; what cannot be looked at is told too."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from typing import Final

from kbd.daemon.cli.place import Place
from kbd.daemon.config import ConfigError, Settings
from kbd.daemon.doctor import daemon, database, gpu, inotify, isolation, mounts, space, spool
from kbd.daemon.doctor.check import Check, Examination, Patient, fail, ok, warn
from kbd.daemon.patience import SpoolSilent, open_spool
from kbd.inbox.errors import InboxError

EXAMINATIONS: Final[Sequence[Examination]] = (
    gpu.driver,
    gpu.compilers,
    gpu.torch,
    isolation.isolation,
    spool.presence,
    mounts.spool_mount,
    spool.permissions,
    spool.clock,
    inotify.inotify,
    mounts.database_mount,
    database.database,
    database.sqlite,
    space.space,
    daemon.daemon,
    daemon.devices,
    spool.quarantine,
)

WITHOUT_SPOOL: Final = (
    gpu.driver,
    gpu.compilers,
    gpu.torch,
    mounts.database_mount,
    database.database,
    database.sqlite,
)
"""What can be looked at though the file server of the spool hangs."""


def examine(place: Place, examinations: Sequence[Examination] = EXAMINATIONS) -> Iterator[Check]:
    """Every check, in order. Settings that are wrong are told, and the defaults looked at instead."""
    patient = Patient(place, Settings(place.spool_root, place.state, spool_named=place.spool_named))
    try:
        patient = Patient(place, place.settings())
    except ConfigError as error:
        for problem in error.problems:
            yield fail("settings", problem, "correct it; see what there is to set: kbd config show")
    else:
        yield from _settings(patient)
    try:
        open_spool(patient.settings.spool)
    except SpoolSilent as error:
        yield fail(
            "spool", str(error), "see to the file server and the way to it, then ask again: kbd doctor"
        )
        examinations = [each for each in examinations if each in WITHOUT_SPOOL]
    except (InboxError, OSError):
        pass  # told by its own examination
    for examination in examinations:
        try:
            yield from examination(patient)
        except (OSError, subprocess.SubprocessError) as error:
            name = examination.__name__.replace("_", " ")
            yield warn(name, f"could not be looked at: {error}", "look at it as the daemon's user")


def _settings(patient: Patient) -> Iterator[Check]:
    origin = patient.settings.origin
    doubts = origin.doubts if origin is not None else ()
    for doubt in doubts:
        yield warn("settings", doubt, "unset it, or correct its name: kbd config show")
    if not doubts:
        file = origin.file if origin is not None else None
        yield ok("settings", "no file, defaults and environment" if file is None else str(file))
