"""Free space where spool and state folder lie."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kbd.daemon.cli.wording import size
from kbd.daemon.doctor.check import Check, Patient, fail, ok, warn

NAME: Final = "disk"
LITTLE: Final = 0.05
"""Less than this part of a file system free, and it will soon be full."""
FEW_FILES: Final = 1000
_MAY_GO: Final = {
    "spool": "what was read in outbox/, done/ and quarantine/ may go",
    "state": "kbd cache --clear; lower limits.log_bytes and compile.artifacts_bytes",
}


def space(patient: Patient) -> Iterator[Check]:
    """As the daemon measures it before it claims, and what it does not measure: files."""
    floor = patient.settings.limits.min_free_bytes
    for what, folder in (("spool", patient.settings.spool), ("state", patient.settings.state)):
        if folder.is_dir():
            yield _of(what, folder, floor)


def _of(what: str, folder: Path, floor: int) -> Check:
    status = os.statvfs(folder)
    free, total = status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize
    name, has = f"{NAME} of {what}", f"{size(free)} of {size(total)} free at {folder}"
    cure = f"make room at {folder}: {_MAY_GO[what]}"
    if free < floor:
        return fail(
            name, f"{has}: less than limits.min_free_bytes ({size(floor)}), so nothing is claimed", cure
        )
    if status.f_files and status.f_favail < FEW_FILES:
        return fail(name, f"room for only {status.f_favail} more files (inodes) at {folder}", cure)
    if free < LITTLE * total:
        return warn(name, has, cure)
    return ok(name, has)
