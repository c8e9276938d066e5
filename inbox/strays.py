"""Jobs that a former owner renames into its folder after that was taken over.

Moving its folder away shuts a paused owner out where names are looked up at each call. On NFS a rename goes by
handles, and a folder keeps its handle wherever it is moved: an owner that was paused while it claimed, and wakes,
puts jobs where they were reconciled before. They are looked for as long as there is such a folder; one that has
become empty is removed, and its handle is stale then.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from kbd.inbox.claim import Taken
from kbd.inbox.epoch import takeovers_in
from kbd.inbox.spool import ClaimedPath, jobs_under

LOOK_INTERVAL_S: Final = 30.0


class Strays:
    """Looks into the folders that this epoch took over, from time to time.

    Args:
        epoch_folder: `claimed/EPOCH` of the present owner. What lies there already is left to its reconciling,
            which must come later: so nothing is missed in between.
        clock: our own monotonic clock, in seconds.
    """

    def __init__(self, epoch_folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._epoch_folder = epoch_folder
        self._clock = clock
        self._folders = takeovers_in(epoch_folder)
        self._known = {os.fspath(job.path) for job in self._jobs()}
        self._look_at = clock() + LOOK_INTERVAL_S

    def look(self) -> list[Taken]:
        """What has come since the last look. Raises OSError."""
        now = self._clock()
        if not self._folders or now < self._look_at:
            return []
        self._look_at = now + LOOK_INTERVAL_S  # also where it fails: others are to be claimed meanwhile
        self._folders = takeovers_in(self._epoch_folder)
        found = {os.fspath(job.path): Taken(job.path, job.owner) for job in self._jobs()}
        known, self._known = self._known, set(found)
        return [taken for name, taken in found.items() if name not in known]

    def _jobs(self) -> Iterator[ClaimedPath]:
        return (job for folder in self._folders for job in jobs_under(folder))
