"""What a thread of this process is doing, as the kernel tells it.

A file server that hangs blocks the clerk's thread in a system call for as long as it likes: nothing is wrong with
the daemon, and starting it anew would help nobody. A thread that waits for a lock in turn will wait for ever.
"""

from __future__ import annotations

import enum
import platform
from pathlib import Path
from typing import Final

_FUTEX: Final = {"x86_64": "202", "aarch64": "98"}
"""The system call in which threads wait for each other."""


class Activity(enum.Enum):
    """What a thread does now."""

    COMPUTES = "computes"
    WAITS_FOR_KERNEL = "waits for files"
    WAITS_FOR_THREAD = "waits for another thread"
    GONE = "is gone"


def activity_of(thread: int, tasks: Path = Path("/proc/self/task")) -> Activity:
    """By /proc/[pid]/task/[tid]/syscall; where the kernel does not offer that, by the state in `stat`."""
    try:
        state = _state_of(tasks / str(thread))
    except OSError:
        return Activity.GONE
    if state == "R":
        return Activity.COMPUTES
    try:
        call = (tasks / str(thread) / "syscall").read_text().split(" ", 1)[0].strip()
    except OSError:
        return Activity.WAITS_FOR_KERNEL if state == "D" else Activity.WAITS_FOR_THREAD
    if call == "running":
        return Activity.COMPUTES
    waits_for_thread = call == _FUTEX.get(platform.machine(), "")
    return Activity.WAITS_FOR_THREAD if waits_for_thread else Activity.WAITS_FOR_KERNEL


def _state_of(task: Path) -> str:
    """The letter behind the name, which may hold anything."""
    return (task / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
