"""The daemon's side of the logs: one thread that writes them all."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog

from kbd.daemon.job_logs.archive import LogArchive
from kbd.daemon.job_logs.log_file import LogFile

log = structlog.get_logger(__name__)


class LogWriting:
    """Begins logs for attempts of jobs; a disk that refuses is told once for each log and harms no job."""

    def __init__(self, archive: LogArchive) -> None:
        self._archive = archive
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="job-logs")

    def begin(self, job_id: str, attempt: int, name: str) -> LogFile:
        """A log to be attached to a process that works for this attempt."""
        path = self._archive.path(job_id, attempt, name)
        return LogFile(path, self._thread, _reporter(job_id, name))

    def close(self) -> None:
        """Write what is pending, then no more."""
        self._thread.shutdown(wait=True)


def _reporter(job_id: str, name: str) -> Callable[[OSError], None]:
    def report(error: OSError) -> None:
        log.warning("output is not kept", action="job_log_failed", job=job_id, log=name, reason=str(error))

    return report
