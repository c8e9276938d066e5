"""A job's life: its states, and which may follow which.

```
              ┌──────────── put back (fault, shutdown) ───────────┐
              ▼                                                   │
          submitted ──► compiling ──► validating ◄──► profiling ──┤
              │             │             │               │       │
              └─────────────┴──────┬──────┴───────────────┘───────┘
                                   ▼
               completed | failed | cancelled | rejected   (final)
```
Stages may be left out (a torch kernel is not compiled, a lone candidate is not validated); with several
workloads a job validates again after profiling. From every state a job may end.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from kbd.store.errors import IllegalTransition


class JobState(StrEnum):
    """Where a job is in its life. What was found out about its kernel is the status, another thing."""

    SUBMITTED = "submitted"
    COMPILING = "compiling"
    VALIDATING = "validating"
    PROFILING = "profiling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


RUNNING = frozenset({JobState.COMPILING, JobState.VALIDATING, JobState.PROFILING})
"""A process works for the job."""

FINAL = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.REJECTED})
"""Nothing follows."""

TRANSITIONS: Mapping[JobState, frozenset[JobState]] = MappingProxyType(
    {
        JobState.SUBMITTED: RUNNING | FINAL,
        JobState.COMPILING: FINAL | {JobState.VALIDATING, JobState.PROFILING, JobState.SUBMITTED},
        JobState.VALIDATING: FINAL | {JobState.PROFILING, JobState.SUBMITTED},
        JobState.PROFILING: FINAL | {JobState.VALIDATING, JobState.SUBMITTED},
        **dict.fromkeys(FINAL, frozenset[JobState]()),
    }
)
"""Every legal step. Staying where one is, is not a step."""


def require_transition(job_id: str, old: JobState, new: JobState) -> None:
    """Raise IllegalTransition unless a job may go from `old` to `new`."""
    if new not in TRANSITIONS[old]:
        legal = ", ".join(sorted(TRANSITIONS[old])) or f"nothing: {old} is final"
        raise IllegalTransition(f"job {job_id} is {old} and cannot become {new}; legal from here: {legal}")
