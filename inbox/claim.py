"""What can become of a delivery on its way from the inbox to the queue.

```
 Delivery ──take──► Taken ──admit──► Claimed                        a job
              │       ▲       ├────► Refused ──quarantine──► Quarantined  no job; its reasons are kept
              │       │       ├────► Vanished                       deleted meanwhile
              │       └─later─┴────► Deferred                       the file system fails; lies where it was
              ├────► Vanished
              └────► Deferred
```
"""

import enum
from dataclasses import dataclass, field
from pathlib import Path

from kbd.inbox.errors import Problem
from kbd.inbox.failed_reads import FailedReads
from kbd.inbox.job_file import JobFile
from kbd.inbox.sighting import Signature


class Refusal(enum.StrEnum):
    """Why something cannot be a job."""

    BAD_NAME = "bad_name"
    NOT_A_JOB = "not_a_job"
    UNSAFE_FILE = "unsafe_file"
    UNREADABLE = "unreadable"
    INVALID_JOB = "invalid_job"
    ID_CONFLICT = "id_conflict"
    INVALID_REQUEST = "invalid_request"
    INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True, slots=True)
class Taken:
    """Renamed into `claimed/`, so it is ours; not read yet, or in vain.

    Attributes:
        signature: what it was when it was chosen, or read the last time; None: not known.
    """

    path: Path
    owner: str | None
    failed_reads: FailedReads | None = None
    signature: Signature | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job, read and valid, lying at `path` under `claimed/`."""

    job_file: JobFile
    path: Path
    owner: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """No job. It still lies at `path` under `claimed/`, so that a crash before it is recorded loses nothing.

    Attributes:
        job_id: under which a `rejected` result can be published; None where the name allows none.
        code: the kind of reason.
        problems: all that is wrong, where the document could be read.
        message: the reason as text.
    """

    path: Path
    owner: str | None
    job_id: str | None
    code: Refusal
    problems: tuple[Problem, ...]
    message: str


@dataclass(frozen=True, slots=True)
class Quarantined:
    """No job. It lies at `path` under `quarantine/`, beside `NAME.reason.json`. Fields as in `Refused`."""

    path: Path
    owner: str | None
    job_id: str | None
    code: Refusal
    reason: tuple[Problem, ...]
    message: str


@dataclass(frozen=True, slots=True)
class Vanished:
    """Deleted or moved away by somebody else.

    Attributes:
        path: where it was.
        job_id: what its id probably was; None where the name allows none.
        was_claimed: it was ours already, so its user waits for a result; else it was withdrawn in time.
    """

    path: Path
    owner: str | None
    job_id: str | None
    was_claimed: bool


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not possible now, and not (for all that is known) the fault of the delivery, which is unchanged.

    Attributes:
        path: where it lies: in the inbox, or under `claimed/`.
        was_claimed: it lies under `claimed/`; give `taken` to `admit_all` later.
        error: what the file system said.
        message: the same for people, with what to do.
        failed_reads: those of an error that becomes a refusal when it stays.
        signature: what it is now, where it is still being written.
    """

    path: Path
    owner: str | None
    was_claimed: bool
    error: OSError
    message: str
    failed_reads: FailedReads | None = None
    signature: Signature | None = field(default=None, compare=False)

    @property
    def taken(self) -> Taken:
        """The same, to be read once more."""
        return Taken(self.path, self.owner, self.failed_reads, self.signature)


Claim = Claimed | Quarantined | Vanished | Deferred
