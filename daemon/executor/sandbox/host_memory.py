"""How much memory there is for the daemon and all that it starts, and whether the system ran out of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kbd.daemon.executor.sandbox.cgroup import own_groups

LIMIT_FILES: Final = ("memory.max", "memory.limit_in_bytes")
COUNTERS: Final = "/proc/vmstat"


def host_memory_bytes() -> int:
    """What is built in, or what this process's own cgroup allows where that is less (as in a container)."""
    built_in = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        folders = [folder for folder, controller in own_groups() if controller == "memory"]
    except OSError:
        folders = []
    return min([built_in, *(limit for folder in folders for limit in limits_above(folder))])


def limits_above(group: Path) -> Iterator[int]:
    """The limits of a group and of those that it lies in."""
    for folder in (group, *group.parents):
        for name in LIMIT_FILES:
            with contextlib.suppress(OSError, ValueError):  # "max": there is none
                yield int((folder / name).read_text())


def processes_killed_for_memory(counters: str = COUNTERS) -> int:
    """How many processes the kernel has killed for lack of memory since the system started; 0: it does not say."""
    with contextlib.suppress(OSError):
        for line in Path(counters).read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
