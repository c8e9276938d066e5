"""What `kbd status` knows: the daemon, the queue's counts, and some jobs.

From the database where this host can read it; elsewhere from the spool alone, and `history` is false then.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kbd.daemon.cli.known_jobs import Whereabouts, inbox_jobs, whereabouts
from kbd.daemon.cli.place import Place
from kbd.daemon.cli.presence import DaemonWatch, Presence, Sighting
from kbd.store.errors import StoreMissing
from kbd.store.job_filter import JobFilter
from kbd.store.readers import JobReader
from kbd.store.rows import JobSummary
from kbd.store.source import open_source
from kbd.store.states import JobState

SCHEMA_VERSION: Final = 1
EVERY_JOB: Final = JobFilter()


@dataclass(frozen=True, slots=True)
class StatusReport:
    """One look at a spool.

    Attributes:
        waiting: jobs in the inbox that no daemon has claimed yet.
        counts: jobs by state.
        jobs: those asked for, in the order asked for; else the latest, the newest first.
        history: whether the database could be read, so that `jobs` means something.
        filtered: whether only some jobs were let through.
        unlisted: where jobs asked for are that exist and are not in the database (yet, or on this host).
    """

    place: Place
    sighting: Sighting
    waiting: int
    counts: dict[JobState, int]
    jobs: tuple[JobSummary, ...]
    history: bool
    unlisted: dict[str, Whereabouts] = field(default_factory=dict)
    filtered: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there has never been a job."""
        return self.waiting == 0 and not any(self.counts.values())

    def as_document(self) -> dict[str, Any]:
        """The report for programs: see docs/cli.md."""
        about = self.sighting.about
        snapshot = self.sighting.snapshot
        running = {Presence.RUNNING: True, Presence.ABSENT: False, Presence.UNSURE: None}
        return {
            "schema_version": SCHEMA_VERSION,
            "spool": str(self.place.spool_root),
            "state": str(self.place.state),
            "daemon": {
                "running": running[self.sighting.presence],
                "pid": about.get("pid"),
                "host": about.get("host"),
                "version": about.get("version"),
                "epoch": about.get("epoch"),
                "standby": self.sighting.standby.get("pid") if self.sighting.standby else None,
                "devices": list(snapshot.devices) if snapshot else [],
                "paused": snapshot.paused if snapshot else None,
                "ending": self.sighting.ending,
            },
            "inbox": self.waiting,
            "counts": {state.value: self.counts.get(state, 0) for state in JobState},
            "history": self.history,
            "jobs": [dataclasses.asdict(job) for job in self.jobs],
            "unlisted": list(self.unlisted),
        }


def take_status(
    place: Place,
    job_ids: Sequence[str],
    *,
    limit: int,
    wanted: JobFilter = EVERY_JOB,
    watch: DaemonWatch | None = None,
) -> StatusReport:
    """Look once.

    Args:
        place: the spool and the state folder.
        job_ids: these jobs; none: the latest.
        limit: how many of the latest.
        wanted: only jobs that it lets through.
        watch: whoever looks again and again keeps one, and is surer each time.

    Raises SpoolMissing, and StoreError when the database is there and cannot be read.
    """
    spool = place.spool()
    sighting = (watch or DaemonWatch(place)).look()
    waiting = sum(1 for _ in inbox_jobs(spool))
    try:
        with open_source(place.state, place.database) as source:
            reader = JobReader(source)
            jobs = tuple(reader.matching(wanted, job_ids or None, limit=limit))
            counts = reader.counts()
    except StoreMissing:
        counts = _snapshot_counts(sighting)
        unlisted = whereabouts(place, job_ids)
        return StatusReport(place, sighting, waiting, counts, (), history=False, unlisted=unlisted)
    if wanted != EVERY_JOB:
        return StatusReport(place, sighting, waiting, counts, jobs, history=True, filtered=True)
    listed = {job.job_id for job in jobs}
    unlisted = whereabouts(place, (job_id for job_id in job_ids if job_id not in listed))
    return StatusReport(place, sighting, waiting, counts, jobs, history=True, unlisted=unlisted)


def _snapshot_counts(sighting: Sighting) -> dict[JobState, int]:
    queue = sighting.snapshot.queue if sighting.snapshot else {}
    return {state: queue.get(state.value, 0) for state in JobState}
