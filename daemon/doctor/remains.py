"""What the files of a spool still tell of its jobs, after their database is lost.

::

    done/, claimed/ ──manifests──┐
    quarantine/ ──owners─────────┼──► a temporary database ──in order of arrival──► jobs
    outbox/ ──results────────────┘

The temporary database is on disk where memory does not hold it: history may be a million jobs long.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from kbd.inbox.errors import InboxError
from kbd.inbox.job_file import read_job
from kbd.inbox.names import NAME_PATTERN
from kbd.inbox.quarantine import REASON_SUFFIX
from kbd.inbox.result_files import RESULT_SUFFIX, published_path, read_published
from kbd.inbox.safe_load import read_bounded
from kbd.inbox.spool import ClaimedPath, Spool, jobs_under
from kbd.outbox.errors import UnreadableResult
from kbd.outbox.result import JobResult
from kbd.store.job_table import shortened
from kbd.store.new_job import NewJob
from kbd.store.rows import JobRow
from kbd.store.states import JobState

REASON_LIMIT_BYTES: Final = 64 << 20
_TABLES: Final = """
CREATE TABLE manifests (
    job_id TEXT, sha256 TEXT, owner TEXT, priority INTEGER, labels TEXT, text TEXT,
    path TEXT, is_claimed INTEGER, delivered_at REAL, PRIMARY KEY (job_id, sha256)
);
CREATE TABLE owners (job_id TEXT PRIMARY KEY, owner TEXT);
CREATE TABLE results (job_id TEXT PRIMARY KEY, sha256 TEXT, arrived_at REAL, is_known INTEGER, fields TEXT);
"""
_UNKNOWN: Final = "FROM results WHERE is_known = 0 AND arrived_at >= ? AND arrived_at < ?"
_EVER: Final = (float("-inf"), float("inf"))


class Unread(NamedTuple):
    """A file that tells nothing, and why."""

    path: Path
    reason: str


class Manifest(NamedTuple):
    """What is known of a job from its own file. `path` is relative to the spool."""

    owner: str
    priority: int
    path: str
    is_claimed: bool
    delivered_at: float


class Remains:
    """What was found. Use it as a context manager.

    Attributes:
        unread: files that should be results or manifests and cannot be read.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._found = sqlite3.connect("")
        self._found.executescript(_TABLES)
        self.unread: list[Unread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._found.close()

    def collect(self) -> None:
        """Read the whole spool. Raises OSError where a folder cannot be listed."""
        for base in (self._spool.done, self._spool.claimed):
            for folder in _folders(base):
                for job in jobs_under(folder):
                    self._collect_manifest(job, is_claimed=base == self._spool.claimed)
        self._collect_owners()
        with os.scandir(self._spool.outbox) as entries:
            for entry in entries:
                job_id = entry.name.removesuffix(RESULT_SUFFIX)
                if job_id != entry.name and NAME_PATTERN.fullmatch(job_id):
                    self._collect_result(job_id)

    def ids(self) -> Iterator[str]:
        """Of all jobs that have a result."""
        return (row[0] for row in self._rows("SELECT job_id FROM results"))

    def leave_out(self, job_ids: Iterable[str]) -> None:
        """These jobs are known already."""
        known = ((job_id,) for job_id in job_ids)
        self._found.executemany("UPDATE results SET is_known = 1 WHERE job_id = ?", known)

    def count(self, *, since: float = _EVER[0], before: float = _EVER[1]) -> int:
        """How many jobs with a result arrived in a span of time."""
        return int(next(self._rows(f"SELECT count(*) {_UNKNOWN}", since, before))[0])

    def finished(self, first: int, *, since: float = _EVER[0], before: float = _EVER[1]) -> Iterator[JobRow]:
        """Jobs with a result that arrived in a span of time, in this order, numbered from `first` on."""
        query = f"SELECT job_id, sha256, fields {_UNKNOWN} ORDER BY arrived_at, job_id"
        for number, (job_id, digest, fields) in enumerate(self._rows(query, since, before), start=first):
            values = json.loads(fields)
            values["state"] = JobState(values["state"])
            content = read_published(self._spool, job_id)
            yield JobRow(
                **values,
                job_id=job_id,
                manifest_sha256=digest,
                sequence=number,
                manifest_text=self._manifest_text(job_id, digest),
                result_text=None if content is None else content.decode(),
            )

    def waiting(self) -> Iterator[NewJob]:
        """Jobs of claimed/ that have no result, the oldest file first."""
        for job_id, digest, text, path, owner, priority, labels in self._rows(
            "SELECT job_id, sha256, text, path, owner, priority, labels FROM manifests WHERE is_claimed = 1 "
            "AND job_id NOT IN (SELECT job_id FROM results) ORDER BY delivered_at, job_id"
        ):
            yield NewJob(
                job_id=job_id,
                manifest_sha256=digest,
                manifest_text=text,
                claimed_path=path,
                owner=owner,
                priority=priority,
                labels=json.loads(labels),
            )

    def _collect_manifest(self, job: ClaimedPath, *, is_claimed: bool) -> None:
        try:
            file = read_job(job.path)
            delivered_at = job.path.stat().st_mtime
        except (InboxError, OSError) as error:
            self.unread.append(Unread(job.path, str(error)))
            return
        manifest, path = file.manifest, str(job.path.relative_to(self._spool.root))
        owned = (job.owner or "", manifest.priority, json.dumps(manifest.labels), manifest.model_dump_json())
        values = (file.job_id, file.sha256, *owned, path, is_claimed, delivered_at)
        self._found.execute("INSERT OR IGNORE INTO manifests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

    def _collect_owners(self) -> None:
        """Of what was refused, only the reason says whose it was."""
        for path in self._spool.quarantine.glob(f"*{REASON_SUFFIX}"):
            try:
                reason = json.loads(read_bounded(path, REASON_LIMIT_BYTES))
                values = (reason["job_id"], reason["owner"] or "")
            except (InboxError, OSError, ValueError, KeyError, TypeError) as error:
                self.unread.append(Unread(path, f"no reason that kbd wrote: {error}"))
                continue
            if values[0] is not None:
                self._found.execute("INSERT OR IGNORE INTO owners VALUES (?, ?)", values)

    def _collect_result(self, job_id: str) -> None:
        path = published_path(self._spool, job_id)
        try:
            text, written_at = read_published(self._spool, job_id), path.stat().st_mtime
            result = JobResult.from_json(text or "")
        except (InboxError, OSError, UnreadableResult) as error:
            self.unread.append(Unread(path, str(error)))
            return
        if result.job_id != job_id:
            self.unread.append(Unread(path, f"it is the result of {result.job_id}"))
            return
        manifest = self._manifest(job_id, result.manifest_sha256)
        fields = _fields(result, manifest, written_at)
        if manifest is None:
            fields["owner"] = self._owner(job_id)
        values = (job_id, result.manifest_sha256, fields["submitted_at"], False, json.dumps(fields))
        self._found.execute("INSERT INTO results VALUES (?, ?, ?, ?, ?)", values)

    def _manifest(self, job_id: str, digest: str | None) -> Manifest | None:
        query = (
            "SELECT owner, priority, path, is_claimed, delivered_at FROM manifests "
            "WHERE job_id = ? AND sha256 = ?"
        )
        found = next(self._rows(query, job_id, digest), None)
        return None if found is None else Manifest(*found)

    def _manifest_text(self, job_id: str, digest: str | None) -> str | None:
        query = "SELECT text FROM manifests WHERE job_id = ? AND sha256 = ?"
        return next((text for (text,) in self._rows(query, job_id, digest)), None)

    def _owner(self, job_id: str) -> str:
        query = "SELECT owner FROM owners WHERE job_id = ?"
        return next((str(owner) for (owner,) in self._rows(query, job_id)), "")

    def _rows(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        return self._found.execute(query, values)


def _fields(result: JobResult, manifest: Manifest | None, written_at: float) -> dict[str, Any]:
    """The columns of a job that its result tells, and its own file if there is one.

    A result is written when its job ends, and says how long things took until then. A job that its result says
    nothing about came when its file was written, if that can be.
    """
    took = result.timings_s
    started_at = written_at - took.total if took.total is not None and result.attempt else None
    if took.queued is not None:
        arrived_at = (started_at or written_at) - took.queued
    else:
        arrived_at = min(manifest.delivered_at if manifest else written_at, started_at or written_at)
    return {
        "state": result.state,
        "status": result.status.value,
        "stage": result.stage.value if result.stage else None,
        "blame": result.blame.value if result.blame else None,
        "owner": manifest.owner if manifest else "",
        "priority": manifest.priority if manifest else 0,
        "labels": result.labels,
        "device": (result.device.uuid or result.device.kind) if result.device else None,
        "attempts": result.attempt,
        "submitted_at": arrived_at,
        "started_at": started_at,
        "finished_at": written_at,
        # One whose file still lies in claimed/ is published once more, and its file put away.
        "published": manifest is None or not manifest.is_claimed,
        "speedup": result.speedup,
        "error_message": shortened(result.error.message if result.error else None),
        "claimed_path": manifest.path if manifest else None,
    }


def _folders(base: Path) -> list[Path]:
    """The epochs or days in a folder, in order."""
    with os.scandir(base) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
