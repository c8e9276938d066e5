"""A process and all that descend from it: who they are, and what time of the CPU they have used."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Final

_WHOLE_PROCESS: Final = 2
"""What a clock is of that has the number of a process in it (clock_getcpuclockid(3)): the time that it ran."""


def children_of(pid: int) -> set[int]:
    """Direct children of every thread of a process."""
    found: set[int] = set()
    tasks = f"/proc/{pid}/task"
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in os.listdir(tasks):
            with (
                contextlib.suppress(FileNotFoundError, ProcessLookupError),
                open(f"{tasks}/{task}/children", "rb", buffering=0) as file,
            ):
                found.update(map(int, file.read().split()))
    return found


class TreeTime:
    """The CPU time of a process and its descendants, ended threads included.

    What a descendant has used between two looks and its end is lost, and all of one that lived between them.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen_ns: dict[int, int] = {}
        self._gone_ns = 0

    def so_far_us(self) -> float:
        """Microseconds since they began; it never falls."""
        found: dict[int, int] = {}
        todo = [self._pid]
        while todo:
            pid = todo.pop()
            used_ns = _used_ns(pid)
            if used_ns is not None:
                found[pid] = used_ns
                todo.extend(children_of(pid) - found.keys())
        self._gone_ns += sum(used for pid, used in self._seen_ns.items() if pid not in found)
        self._seen_ns = found
        return (sum(found.values()) + self._gone_ns) / 1e3


def _used_ns(pid: int) -> int | None:
    """None: there is no such process any more."""
    try:
        return time.clock_gettime_ns((~pid << 3) | _WHOLE_PROCESS)
    except OSError:
        return None
