"""Published results as files, and how somebody who waits for many of them finds out at the cost of one look.

::

    open outbox/ ──changed since the last look?── no ──► nothing new          (two calls)
                              └ yes ──► list it, or open each where that is cheaper ──► the ids that are there

Opening a folder makes a network file system ask its server (close-to-open), which asking for a file that was not
there a moment ago does not. What was listed is then opened: only that is proof.
"""

import os
import time
from collections.abc import Callable, Collection, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from kbd.inbox.errors import UnsafeFile
from kbd.inbox.freshness import refresh
from kbd.inbox.names import NAME_PATTERN
from kbd.inbox.safe_load import open_regular, read_bounded
from kbd.inbox.spool import Spool

RESULT_LIMIT_BYTES: Final = 64 * 1024 * 1024
RESULT_SUFFIX: Final = ".json"

SETTLE_S: Final = 2.0
"""A folder's time of change may be this coarse: so long after a change nothing is concluded from it."""
FULL_LOOK_S: Final = 5.0
"""So often the outbox is read whatever its time of change says."""
_ENTRIES_PER_OPEN: Final = 64
"""So many entries are listed in about the time that it takes to open one file in vain."""

_Signature = tuple[int, ...]


def published_path(spool: Spool, job_id: str) -> Path:
    """Where the result of a job is published. Raises ValueError for what cannot be a job's id."""
    if NAME_PATTERN.fullmatch(job_id) is None:
        raise ValueError(f"expected a job id matching {NAME_PATTERN.pattern}, found {job_id!r}")
    return spool.outbox / f"{job_id}{RESULT_SUFFIX}"


def read_published(spool: Spool, job_id: str) -> bytes | None:
    """The bytes of a published result, or None while there is none.

    Found by opening the outbox and then the file, never by asking whether it exists: on a network file system
    that answer is cached. Raises UnsafeFile where something else than a regular file of sensible size lies there.
    """
    path = published_path(spool, job_id)
    with _opened(path.parent) as folder:
        try:
            return None if folder is None else read_bounded(path.name, RESULT_LIMIT_BYTES, folder)
        except FileNotFoundError:
            return None


class OutboxLooks:
    """Tells which of the wanted results have appeared; all who wait in one process can share it.

    Args:
        spool: whose outbox.
        clock: our own; no time of another host is ever compared with it.
    """

    def __init__(self, spool: Spool, clock: Callable[[], float] = time.monotonic) -> None:
        self._outbox = spool.outbox
        self._clock = clock
        self._signature: _Signature = ()
        self._changed_at = self._looked_at = float("-inf")
        self._missing: frozenset[str] = frozenset()
        self._entries = 0

    def appeared(self, wanted: AbstractSet[str]) -> list[str]:
        """The ids of `wanted` that have a file now. An id that stays wanted is told again. Raises OSError."""
        with _opened(self._outbox) as folder:
            if folder is None or self._is_quiet(folder, wanted):
                return []
            found = self._open_each(folder, wanted) if self._is_small(wanted) else self._list(folder, wanted)
        self._missing = frozenset(wanted).difference(found)
        return found

    def _is_quiet(self, folder: int, wanted: AbstractSet[str]) -> bool:
        """Whether nothing can be there that was not there before. Remembers that it was asked."""
        refresh(folder)
        now, status = self._clock(), os.fstat(folder)
        signature = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_nlink)
        if signature != self._signature:
            self._signature, self._changed_at = signature, now
        has_settled = now - self._changed_at >= SETTLE_S and self._looked_at - self._changed_at >= SETTLE_S
        if has_settled and now - self._looked_at < FULL_LOOK_S and wanted <= self._missing:
            return True
        self._looked_at = now
        return False

    def _is_small(self, wanted: Collection[str]) -> bool:
        return len(wanted) * _ENTRIES_PER_OPEN <= self._entries

    def _list(self, folder: int, wanted: AbstractSet[str]) -> list[str]:
        found, count = [], 0
        with os.scandir(folder) as entries:
            for entry in entries:
                count += 1
                job_id = entry.name.removesuffix(RESULT_SUFFIX)
                if job_id in wanted and job_id != entry.name:
                    found.append(job_id)
        self._entries = count
        return found

    def _open_each(self, folder: int, wanted: AbstractSet[str]) -> list[str]:
        return [job_id for job_id in wanted if _can_be_opened(f"{job_id}{RESULT_SUFFIX}", folder)]


def _can_be_opened(name: str, folder: int) -> bool:
    try:
        os.close(open_regular(name, folder))
    except FileNotFoundError:
        return False
    except UnsafeFile:
        return True  # whoever reads it is told what is wrong
    return True


@contextmanager
def _opened(folder: Path) -> Iterator[int | None]:
    """A descriptor of the folder, fresh from its server; None while it is not there (not mounted)."""
    descriptor: int | None = None
    with suppress(FileNotFoundError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)
