"""What goes into the store: a claimed job, or the refusal of one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from kbd.store.states import JobState


class AddOutcome(StrEnum):
    """What became of a job that was to be added."""

    ADDED = "added"
    SAME = "same"
    """Id and bytes are known: nothing runs again; if the job is final, its result is owed again."""
    CONFLICT = "conflict"
    """The id belongs to other bytes: nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A claimed job. `manifest_text` is the manifest as JSON, `manifest_sha256` that of the user's bytes."""

    job_id: str
    manifest_sha256: str
    manifest_text: str
    claimed_path: str
    owner: str = ""
    priority: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedJob:
    """Something under a job's name that ended before it was one. The digest is None where it was not read."""

    job_id: str
    manifest_sha256: str | None
    result_text: str
    error_message: str
    claimed_path: str | None = None
    owner: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    state: JobState = JobState.REJECTED
    status: str = "invalid_job"
    stage: str | None = "intake"
    blame: str | None = "job"
