"""When a delivery that nobody announced has settled and may be claimed (the diagram is in `kbd.inbox.sighting`)."""

import math
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from kbd.inbox.names import JOB_FOLDER_SUFFIX, MANIFEST_SUFFIXES
from kbd.inbox.sighting import Finding, Sighting, Stage, examine, examine_folder

_EXAMINATION_COSTS_AT_LEAST = 4096


@dataclass(slots=True)
class Look:
    """One look of the scanner: when it is, what it was told, what it may still read, when the next one is due."""

    number: int
    now: float
    moved: frozenset[str]
    examinable_bytes: int
    has_turned_away: bool = False
    next_at: float = math.inf

    def due_at(self, when: float) -> None:
        """Ask for a look at that time, if none is asked for earlier."""
        self.next_at = min(self.next_at, when)


@dataclass(frozen=True, slots=True)
class Settling:
    """The rule.

    Attributes:
        settle_s: how long a delivery must be unchanged; also the time between two looks at one that ends too
            early, since nobody may tell when the rest arrives (inotify does not watch inside job folders).
        truncated_s: how long one that ends too early may stay unchanged before it is given to intake.
        manifest_bytes: larger manifests are not waited for, since intake refuses them.
    """

    settle_s: float
    truncated_s: float
    manifest_bytes: int

    def decide(self, sighting: Sighting, path: str, status: os.stat_result, look: Look) -> None:
        """Move a sighting that cannot be chosen yet one stage on, if its time has come."""
        if not self._is_worth_waiting(path, status):
            sighting.stage = Stage.READY
            return
        wait_s = self.truncated_s if sighting.stage is Stage.TRUNCATED else self.settle_s
        due = max(sighting.unchanged_since + wait_s, sighting.unread_until)
        if look.now < due:
            look.due_at(min(due, look.now + self.settle_s))
        elif sighting.stage is Stage.TRUNCATED:
            sighting.stage = Stage.READY_INCOMPLETE
        else:
            sighting.stage = Stage.SETTLED

    def open(self, sighting: Sighting, path: str, status: os.stat_result, look: Look) -> None:
        """Look into one that is settled."""
        look.examinable_bytes -= max(status.st_size, _EXAMINATION_COSTS_AT_LEAST)
        finding = self._examine(Path(path), sighting, status)
        was_unread = not math.isinf(sighting.unread_until)
        if finding is Finding.WHOLE or (finding is Finding.UNREADABLE and was_unread):
            sighting.stage = Stage.READY  # intake has patience of its own
        elif finding is Finding.TRUNCATED:
            sighting.stage = Stage.TRUNCATED
            look.due_at(min(sighting.unchanged_since + self.truncated_s, look.now + self.settle_s))
        elif finding in (Finding.UNREADABLE, Finding.CHANGED):
            sighting.stage = Stage.SETTLING
            if finding is Finding.CHANGED:
                sighting.unchanged_since = look.now
            else:
                sighting.unread_until = look.now + self.settle_s
            look.due_at(look.now + self.settle_s)

    def _examine(self, path: Path, sighting: Sighting, status: os.stat_result) -> Finding:
        try:
            return self._looked_into(path, sighting, status)
        except Exception:  # noqa: BLE001 - what trips kbd is for intake, which says so; it must not end the scan
            return Finding.WHOLE

    def _looked_into(self, path: Path, sighting: Sighting, status: os.stat_result) -> Finding:
        if stat.S_ISREG(status.st_mode) and path.suffix in MANIFEST_SUFFIXES:
            return examine(path, sighting.signature, limit_bytes=self.manifest_bytes)
        if stat.S_ISDIR(status.st_mode) and path.suffix == JOB_FOLDER_SUFFIX:
            return examine_folder(path, sighting.signature, limit_bytes=self.manifest_bytes)
        return Finding.WHOLE

    def _is_worth_waiting(self, path: str, status: os.stat_result) -> bool:
        if stat.S_ISREG(status.st_mode):
            return not path.endswith(MANIFEST_SUFFIXES) or status.st_size <= self.manifest_bytes
        return stat.S_ISDIR(status.st_mode)
