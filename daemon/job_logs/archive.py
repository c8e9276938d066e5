"""Where the logs of jobs lie, and for how long.

::

    STATE/logs/jobs/ID/ATTEMPT/NAME.log    each as `segments` describes it

NAME is one of LOG_NAMES: a kernel's process, or the compiler that built it.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kbd.inbox.names import NAME_PATTERN

KERNEL_LOGS = ("candidate", "reference")
COMPILER_LOGS = ("candidate_compiler", "reference_compiler")
LOG_NAMES = (*COMPILER_LOGS, *KERNEL_LOGS)
DAY_S = 86_400.0
_LOG_NAME = re.compile(r"[a-z][a-z_]{0,31}")


@dataclass
class Retention:
    """Logs of a job are removed so many days after its last output, or earlier if all take more than so much."""

    days: float
    nbytes: int


class LogArchive:
    """The logs of all jobs of one state folder."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "logs" / "jobs"

    def path(self, job_id: str, attempt: int, name: str) -> Path:
        """The log of one process of an attempt. Raises ValueError for names that could lead elsewhere."""
        if not NAME_PATTERN.fullmatch(job_id) or not _LOG_NAME.fullmatch(name):
            raise ValueError(f"no log is kept under {job_id!r}, {name!r}")
        return self._folder / job_id / f"{attempt:d}" / f"{name}.log"

    def attempts(self, job_id: str) -> list[int]:
        """Attempts that printed anything, in their order. Raises OSError where that cannot be read."""
        folder = self.path(job_id, 0, LOG_NAMES[0]).parents[1]
        try:
            names = os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(int(name) for name in names if name.isascii() and name.isdecimal())

    def tidy(self, retention: Retention, clock: Callable[[], float] = time.time) -> int:
        """Remove what is kept long enough. Returns of how many jobs; raises OSError."""
        kept = sorted(self.jobs(), key=lambda job: job.written_at, reverse=True)
        oldest = clock() - retention.days * DAY_S
        nbytes = removed = 0
        for job in kept:
            nbytes += job.nbytes
            if job.written_at < oldest or nbytes > retention.nbytes:
                shutil.rmtree(job.folder, ignore_errors=True)
                removed += 1
        return removed

    def jobs(self) -> Iterator[JobFolder]:
        """The folders of all jobs, in no order."""
        try:
            entries = list(os.scandir(self._folder))
        except FileNotFoundError:
            return
        for entry in entries:
            yield _job_folder(Path(entry.path))


@dataclass(frozen=True)
class JobFolder:
    """All logs of one job: where, when something was written last (Unix seconds), how much is on the disk."""

    folder: Path
    written_at: float
    nbytes: int


def _job_folder(folder: Path) -> JobFolder:
    """By its newest file; files that vanish meanwhile do not count."""
    newest, nbytes = 0.0, 0
    for path in (folder, *folder.glob("*/*")):
        try:
            found = path.stat()
        except FileNotFoundError:
            continue
        newest = max(newest, found.st_mtime)
        nbytes += found.st_blocks * 512
    return JobFolder(folder, newest, nbytes)
