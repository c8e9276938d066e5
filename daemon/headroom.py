"""Headroom: how many more jobs may be claimed. What is not claimed is safe in the inbox, so claiming can wait."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kbd.store.jobs import JobStore


@dataclass(frozen=True)
class Room:
    """Room for `jobs` more; where there is none, `why_none` says so to people."""

    jobs: int
    why_none: str | None = None


def free_bytes(folder: Path) -> int:
    """What an ordinary user may still write into the file system of a folder. Raises OSError."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


class Headroom:
    """Looks at the length of the queue and at the free space of the file systems kbd writes to.

    Args:
        store: holds the queue, and results that the outbox did not take yet.
        folders: one on each file system, the spool's and the state's.
        queue_limit: jobs that may wait in the queue, or with their results for the outbox.
        min_free_bytes: each file system keeps so much free.
        free: asks a file system; tests bring their own.
    """

    def __init__(
        self,
        store: JobStore,
        folders: Sequence[Path],
        *,
        queue_limit: int,
        min_free_bytes: int,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._store = store
        self._folders = tuple(folders)
        self.queue_limit = queue_limit
        self.min_free_bytes = min_free_bytes
        self._free = free

    def room(self) -> Room:
        """Look now. Raises OSError and StoreUnavailable."""
        for folder in self._folders:
            free = self._free(folder)
            if free < self.min_free_bytes:
                return Room(0, _too_little(folder, free, self.min_free_bytes))
        queued, owed = self._store.queued(), self._store.owed()
        room = self.queue_limit - queued - owed
        if room <= 0:
            results = f" and {owed} results wait for the outbox" if owed else ""
            return Room(
                0, f"{queued} jobs are queued{results}, the limit is {self.queue_limit} (KBD_QUEUE_LIMIT)"
            )
        return Room(room)


def _too_little(folder: Path, free: int, floor: int) -> str:
    return (
        f"{free >> 20} MiB are free where {folder} lies, expected {floor >> 20} MiB at least "
        "(KBD_MIN_FREE_BYTES); claiming goes on when there is more"
    )
