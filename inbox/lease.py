"""The lease: who owns the spool. One small file in `lease/`, which its owner writes anew again and again.

```
lease/000007.json      the number is the owner's epoch; the highest one counts
```

Taking the spool over is a link onto the next number, so of several standbys exactly one gets it. An owner that
was paused and wakes finds a higher number and stops: nothing of its successor's was overwritten by its beats.

No clock is compared with another: whoever waits only sees whether the file changes (`LeaseWatch`).
"""

import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from kbd.inbox.durable import (
    create_durably,
    fsync_folder,
    link_once,
    remove,
    replace_lightly,
)
from kbd.inbox.epoch import EpochLost, highest_epoch, make_epoch, require_epoch
from kbd.inbox.errors import InboxError
from kbd.inbox.safe_load import load_json, read_bounded
from kbd.inbox.spool import Spool
from kbd.inbox.tidying import remove_leftovers
from kbd.inbox.validation import StrictModel, validate

LIMIT_BYTES: Final = 16 << 10

_LEASE = re.compile(r"([0-9]{6}|[1-9][0-9]{6,17})\.json")


class LeaseRecord(StrictModel):
    """What an owner says about itself.

    Attributes:
        token: this life of this daemon; no other has it.
        state: its state folder, which has one daemon at a time: a random word kept there.
        host, pid: for people, and for other processes of the same host.
        place: which processes can see each other's ids: boot and pid namespace of its host.
        born: when it was started, in ticks since that boot; with `pid` it is one process for certain.
        lease_s: a silence shorter than this means nothing.
        beat: counts up, so that the file changes as long as its owner lives.
    """

    version: Literal[1] = 1
    token: Annotated[str, Field(max_length=64)]
    state: Annotated[str, Field(max_length=64)]
    host: Annotated[str, Field(max_length=256)]
    pid: int
    place: Annotated[str, Field(max_length=128)]
    born: int | None
    lease_s: Annotated[float, Field(gt=0)]
    beat: int = 0

    def __str__(self) -> str:
        return f"the daemon with process id {self.pid} on {self.host}"


@dataclass(frozen=True, slots=True)
class FoundLease:
    """The lease that counts now. `record` is None where the file says nothing that is understood."""

    number: int
    text: bytes
    record: LeaseRecord | None

    @property
    def holder(self) -> str:
        """Who has it, for people."""
        return str(self.record or "a daemon that says nothing of itself")


def find_lease(spool: Spool) -> FoundLease | None:
    """The lease with the highest number, or None: nobody owns the spool. Raises OSError."""
    number = max(_numbers(spool), default=0)
    if number == 0:
        return None
    try:
        text = read_bounded(_path(spool, number), LIMIT_BYTES)
    except FileNotFoundError:  # given back at this moment, if the next look at the folder says so too
        if max(_numbers(spool), default=0) == number:
            raise
        return None
    except InboxError as error:
        text = str(error).encode()
    try:
        record = validate(LeaseRecord, load_json(text))
    except InboxError:
        record = None
    return FoundLease(number, text, record)


def take_lease(spool: Spool, record: LeaseRecord, former: FoundLease | None) -> "Lease | None":
    """Become the owner after `former`, whose time is up, of a new epoch. None: somebody else was quicker.

    Raises OSError; the lease may have been taken then, and is silent.
    """
    epoch = highest_epoch(spool)
    if find_lease(spool) != former:  # looked at after the epochs: whoever took it in between has our number
        return None
    number = 1 + max(former.number if former else 0, epoch)
    lease = Lease(spool, number, record)
    temporary = spool.lease / f".{number:06d}-{secrets.token_hex(4)}.tmp"
    create_durably(temporary, lease.text())
    try:
        if not link_once(temporary, lease.path):
            return None
    except FileNotFoundError:  # swept away by whoever was quicker
        return None
    finally:
        remove(temporary)
    fsync_folder(spool.lease)
    # Lists of the folders that were out of date led here, or others have come and gone meanwhile.
    if max([highest_epoch(spool), *_numbers(spool)]) > number:
        lease.release()
        return None
    make_epoch(lease.epoch_folder)
    _sweep(spool, number)
    return lease


class Lease:
    """The spool is ours, as long as `require` says so.

    Attributes:
        number: of the lease and of its epoch.
        path: its file.
    """

    def __init__(self, spool: Spool, number: int, record: LeaseRecord) -> None:
        self._spool = spool
        self._record = record
        self.number = number
        self.path = _path(spool, number)

    @property
    def epoch_folder(self) -> Path:
        """Where its owner claims into."""
        return self._spool.claimed / f"{self.number:06d}"

    def text(self) -> bytes:
        """What the file holds now."""
        return self._record.model_dump_json().encode() + b"\n"

    def beat(self) -> None:
        """Show that we live. Raises what `require` raises."""
        self.require()
        self._record = self._record.model_copy(update={"beat": self._record.beat + 1})
        temporary = self._spool.lease / f".{self.number:06d}.tmp"
        replace_lightly(self.path, self.text(), temporary=temporary)

    def require(self) -> None:
        """Raise EpochLost unless lease and epoch are ours just now.

        Raises SpoolMissing and OSError when that cannot be known.
        """
        self._spool.require()
        self._require_highest()
        require_epoch(self._spool, self.epoch_folder)

    def release(self) -> None:
        """Give it back, so that a standby need not wait. What cannot be removed runs out by itself."""
        if not remove_leftovers([self.path]):  # gone already, or a file system that failed for a moment
            remove_leftovers([self.path])

    def _require_highest(self) -> None:
        highest = max(_numbers(self._spool), default=0)
        if highest <= self.number:
            return
        successor = find_lease(self._spool)
        raise EpochLost(
            f"{successor.holder if successor else 'another daemon'} has taken {self._spool.root} over "
            f"(epoch {highest}, ours was {self.number}), because this one was silent for too long. This one must "
            "stop; nothing is lost, the other one goes on with what was claimed"
        )


class LeaseWatch:
    """Sees for how long a lease has been silent, on our own clock.

    Only time in which it was looked at counts: a watcher that was paused itself knows nothing.

    Args:
        lease_s: a shorter silence means nothing; the owner's own word may ask for more.
        clock: our own monotonic clock, in seconds.
        longest_gap_s: so much of the time between two looks counts at most.

    Attributes:
        changes: how often it was seen to change; -1 before the first look.
    """

    def __init__(self, lease_s: float, clock: Callable[[], float], longest_gap_s: float) -> None:
        self._lease_s = lease_s
        self._clock = clock
        self._longest_gap_s = longest_gap_s
        self._shown: tuple[int, bytes] | None = None
        self._looked_at = 0.0
        self._silent_s = 0.0
        self.changes = -1

    def is_silent(self, found: FoundLease) -> bool:
        """Whether this lease has not changed for a whole lease time."""
        now = self._clock()
        shown = (found.number, found.text)
        if shown != self._shown:
            self._shown, self._silent_s = shown, 0.0
            self.changes += 1
        else:
            self._silent_s += min(now - self._looked_at, self._longest_gap_s)
        self._looked_at = now
        asked_s = found.record.lease_s if found.record else 0.0
        return self._silent_s >= max(self._lease_s, asked_s)


def _path(spool: Spool, number: int) -> Path:
    return spool.lease / f"{number:06d}.json"


def _numbers(spool: Spool) -> list[int]:
    found = (_LEASE.fullmatch(name) for name in os.listdir(spool.lease))
    return [int(match[1]) for match in found if match]


def _sweep(spool: Spool, number: int) -> None:
    """Remove the leases of former owners, and what those who were slower have begun to write."""
    matches = {name: _LEASE.fullmatch(name) for name in os.listdir(spool.lease)}
    remove_leftovers(
        spool.lease / name
        for name, match in matches.items()
        if name.endswith(".tmp") or (match and int(match[1]) < number)
    )
