"""The tables.

```
jobs 1──0..1 manifests     the text that was claimed      apart from `jobs`, so that a row of `jobs` stays
     1──0..1 results       the text that is published     small and lists never wade through megabytes
     1──*    attempts      every process that was started
     1──*    labels        for search; `jobs.labels` holds them once more for display
tallies                    how many jobs there are in each state with each status, kept with every change
```
Counting a million jobs takes 0.3 s when they come from disk, which is all that `kbd status` has: so tallies.
`sequence` is the number of a job inside the database and its order of arrival; `job_id` is its name outside.
What is in here is migrated by `migrations/`; a test compares the two.
"""

from typing import Any, ClassVar

from sqlalchemy import JSON, CheckConstraint, Double, Enum, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from kbd.store.states import FINAL, JobState

QUEUED = "state = 'submitted'"
"""Condition of the queue's index; a query uses the index only if it says the same words."""

OWED = "published = false AND finished_at IS NOT NULL"
"""Condition of the index of results that are not yet in the outbox."""

_FINAL_STATES = ", ".join(f"'{state.value}'" for state in sorted(FINAL))

STATE_TYPE = Enum(
    JobState,
    name="job_state",
    native_enum=False,
    length=16,
    values_callable=lambda states: [state.value for state in states],
)


class Base(DeclarativeBase):
    """The schema's registry."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {float: Double()}


class Job(Base):
    """One job: where it is in its life, whose it is, and what came of it."""

    __tablename__ = "jobs"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(String(128), unique=True)
    state: Mapped[JobState] = mapped_column(STATE_TYPE)
    status: Mapped[str | None] = mapped_column(String(32))
    stage: Mapped[str | None] = mapped_column(String(32))
    blame: Mapped[str | None] = mapped_column(String(32))
    owner: Mapped[str] = mapped_column(String(255))
    priority: Mapped[int]
    labels: Mapped[dict[str, str]] = mapped_column(JSON)
    manifest_sha256: Mapped[str | None] = mapped_column(String(64))
    claimed_path: Mapped[str | None] = mapped_column(Text)
    device: Mapped[str | None] = mapped_column(String(255))
    attempts: Mapped[int]
    submitted_at: Mapped[float]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    published: Mapped[bool]
    speedup: Mapped[float | None]
    error_message: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        CheckConstraint(
            f"(state IN ({_FINAL_STATES})) = (finished_at IS NOT NULL)", name="final_jobs_are_finished"
        ),
        CheckConstraint("published = false OR finished_at IS NOT NULL", name="published_jobs_are_finished"),
        # Each gives the order of arrival too, and tells whose the jobs are without a look at their rows.
        Index("jobs_by_state", "state", "sequence", "owner"),
        Index("jobs_by_status", "status", "sequence", "owner"),
        Index("jobs_by_owner", "owner", "sequence", "state", "status"),
        Index(
            "jobs_queue",
            "owner",
            text("priority DESC"),
            "sequence",
            sqlite_where=text(QUEUED),
            postgresql_where=text(QUEUED),
        ),
        Index("jobs_owed", "sequence", sqlite_where=text(OWED), postgresql_where=text(OWED)),
        {"sqlite_autoincrement": True},
    )


class Manifest(Base):
    """What a job asks for, as canonical JSON."""

    __tablename__ = "manifests"

    job: Mapped[int] = mapped_column(ForeignKey("jobs.sequence", ondelete="CASCADE"), primary_key=True)
    text: Mapped[str] = mapped_column(Text)


class Result(Base):
    """What is published, byte for byte."""

    __tablename__ = "results"

    job: Mapped[int] = mapped_column(ForeignKey("jobs.sequence", ondelete="CASCADE"), primary_key=True)
    text: Mapped[str] = mapped_column(Text)


class Attempt(Base):
    """One time a process was started for a job, recorded before it was."""

    __tablename__ = "attempts"

    job: Mapped[int] = mapped_column(ForeignKey("jobs.sequence", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    device: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int | None]
    state: Mapped[JobState] = mapped_column(STATE_TYPE)
    started_at: Mapped[float]
    finished_at: Mapped[float | None]
    outcome: Mapped[str | None] = mapped_column(Text)


class Label(Base):
    """One label of one job, in the order a search reads them."""

    __tablename__ = "labels"

    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    value: Mapped[str] = mapped_column(Text, primary_key=True)
    job: Mapped[int] = mapped_column(
        ForeignKey("jobs.sequence", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )

    __table_args__ = (Index("labels_by_job", "job"), {"sqlite_with_rowid": False})


class Tally(Base):
    """How many jobs are in one state with one status (empty: none yet)."""

    __tablename__ = "tallies"

    state: Mapped[JobState] = mapped_column(STATE_TYPE, primary_key=True)
    status: Mapped[str] = mapped_column(String(32), primary_key=True)
    jobs: Mapped[int]

    __table_args__ = (CheckConstraint("jobs >= 0", name="tallies_are_counts"),)
