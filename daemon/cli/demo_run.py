"""The demonstration itself: deliver, watch, collect. What it looks like is decided elsewhere."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kbd.daemon.cli.daemon_process import DaemonProcess
from kbd.daemon.cli.demo_jobs import DEMO_JOBS, DemoJob
from kbd.daemon.cli.errors import CommandFailed
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.place import Place
from kbd.store.errors import StoreError
from kbd.store.readers import JobReader
from kbd.store.source import open_source
from kbd.store.states import JobState

if TYPE_CHECKING:
    from kbd.outbox.result import JobResult

LOOK_INTERVAL_S: Final = 0.1
LONGEST_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class DemoStanding:
    """Where one job of the demonstration is: its state (None: in the inbox), its result once there is one."""

    job: DemoJob
    state: JobState | None
    result: "JobResult | None"

    @property
    def as_expected(self) -> bool:
        """Whether the verdict is the right one; false while there is none."""
        return self.result is not None and self.result.status is self.job.expected


def deliver_demo_jobs(place: Place) -> None:
    """Put all five into the inbox, as `kbd submit` would."""
    from kbd.inbox.delivery import deliver

    for job in DEMO_JOBS:
        deliver(job.source(), place.spool(), job.file_name)


def watch_demo_jobs(place: Place, daemon: DaemonProcess) -> Iterator[tuple[DemoStanding, ...]]:
    """All standings, again and again, until every job has its result.

    Raises CommandFailed when the daemon ends before that, or nothing comes of it for too long.
    """
    give_up_at = time.monotonic() + LONGEST_S
    while True:
        has_ended = daemon.exit_status is not None
        standings = take_standings(place)
        yield standings
        if all(standing.result is not None for standing in standings):
            return
        if has_ended:
            raise CommandFailed(
                f"the daemon ended before the jobs were done; its last words:\n{daemon.last_words()}",
                ExitCode.NO_DAEMON,
            )
        if time.monotonic() > give_up_at:
            message = f"the jobs took longer than {LONGEST_S:.0f} s; the daemon's last words:\n"
            raise CommandFailed(message + daemon.last_words(), ExitCode.TIMEOUT)
        time.sleep(LOOK_INTERVAL_S)


def take_standings(place: Place) -> tuple[DemoStanding, ...]:
    """Where every job is now."""
    from kbd.outbox.publisher import read_result

    spool, states = place.spool(), _states(place)
    return tuple(DemoStanding(job, states.get(job.name), read_result(spool, job.name)) for job in DEMO_JOBS)


def _states(place: Place) -> dict[str, JobState]:
    """What the database says; nothing until the daemon has made it."""
    try:
        with open_source(place.state, place.database) as source:
            rows = JobReader(source).list(job.name for job in DEMO_JOBS)
            return {row.job_id: row.state for row in rows}
    except StoreError:
        return {}
