"""The database and the SQLite that reads it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from kbd.daemon.doctor.check import Check, Patient, fail, ok, warn
from kbd.store.errors import StoreError, StoreMissing
from kbd.store.location import SQLITE
from kbd.store.readers import JobReader
from kbd.store.source import open_source

NAME: Final = "database"
NEEDED: Final = (3, 35, 0)
"""The first version with RETURNING, by which the daemon learns the places of jobs in its queue."""
WAL_BUG: Final = ((3, 7, 0), (3, 51, 2))
"""The first and the last version that can corrupt a WAL when two connections write or checkpoint at once."""


def database(patient: Patient) -> Iterator[Check]:
    """Whether it can be read by this kbd."""
    try:
        with open_source(patient.settings.state, patient.settings.database) as source:
            jobs = sum(JobReader(source).counts().values())
    except StoreMissing:
        yield ok(NAME, "none yet; the first daemon makes it")
    except StoreError as error:
        yield fail(NAME, str(error), _cure(patient))
    else:
        yield ok(NAME, f"{jobs} jobs")


def _cure(patient: Patient) -> str:
    if patient.settings.database != SQLITE:
        return (
            "see `database` in kbd config show; an empty one is filled from the spool by kbd doctor --rebuild"
        )
    return (
        "stop the daemon, then kbd doctor --rebuild: the file is set aside and a new one made from results and "
        f"manifests in the spool (or, before, put the latest backup of {patient.settings.state} in its place)"
    )


def sqlite(patient: Patient, version: tuple[int, ...] = sqlite3.sqlite_version_info) -> Iterator[Check]:
    """One that is too old for the daemon; one that is safe with one writer, which kbd is, and with nobody else."""
    if patient.settings.database != SQLITE:
        return
    shown = ".".join(map(str, version))
    first, last = WAL_BUG
    if version < NEEDED:
        yield fail(
            "SQLite",
            f"{shown}: the daemon needs {'.'.join(map(str, NEEDED))} or later (RETURNING) and cannot queue jobs",
            "use a Python with a newer SQLite (conda, uv python install, or a newer distribution): "
            "python -c 'import sqlite3; print(sqlite3.sqlite_version)'",
        )
    elif first <= version <= last:
        yield warn(
            "SQLite",
            f"{shown}: up to 3.51.2 a WAL can be corrupted when two programs write at once; kbd alone never does",
            "let nothing but kbd write kbd.db; a Python with SQLite 3.51.3 or later ends the matter",
        )
    else:
        yield ok("SQLite", shown)
