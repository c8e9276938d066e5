"""What comes out of the store: plain frozen rows, the same for the writer and for readers.

Times are Unix seconds by the daemon's clock, for people to read: they survive every database and every time
zone, and nothing is ever decided or ordered by them (`sequence` is the order of arrival).
"""

from dataclasses import dataclass
from typing import Final

from kbd.store.states import JobState

COMPILER: Final = "compiler"
"""The device of an attempt that has none yet: its kernels are being compiled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """One job in a list; nothing of unbounded size.

    Attributes:
        sequence: order of arrival.
        status, stage, blame: the verdict, in the words of the result; None while there is none.
        owner: the sub-folder of the inbox the job came in by; empty at its top.
        attempts: how often a process was started for it.
        started_at: start of the latest attempt.
        published: its result is in the outbox.
    """

    sequence: int
    job_id: str
    state: JobState
    status: str | None
    stage: str | None
    blame: str | None
    owner: str
    priority: int
    labels: dict[str, str]
    device: str | None
    attempts: int
    submitted_at: float
    started_at: float | None
    finished_at: float | None
    published: bool
    speedup: float | None
    error_message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow(JobSummary):
    """One job with its texts. Manifest and its digest are None for a rejected file that could not be read."""

    manifest_sha256: str | None
    claimed_path: str | None
    manifest_text: str | None
    result_text: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """One time a process was started for a job.

    Attributes:
        state: how far it came.
        outcome: the verdict it led to, or why the job was put back; None while it runs.
    """

    number: int
    device: str
    pid: int | None
    state: JobState
    started_at: float
    finished_at: float | None
    outcome: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetail(JobRow):
    """One job with everything that is remembered about it."""

    history: tuple[AttemptRow, ...]
