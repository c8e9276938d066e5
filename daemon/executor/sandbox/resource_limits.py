"""Limits per process (setrlimit(2)) and the order in which the kernel kills when memory runs out.

RLIMIT_AS is never set: the CUDA driver reserves far more addresses than it uses.
"""

from __future__ import annotations

import resource
from pathlib import Path

from kbd.daemon.executor.sandbox.plan import Bounds

KILLED_FIRST = 1000


def limit_resources(bounds: Bounds) -> None:
    """No core files, bounded files and descriptors."""
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, bounds.file_bytes)
    _lower(resource.RLIMIT_NOFILE, bounds.open_files)
    _lower(resource.RLIMIT_MSGQUEUE, 0)
    _lower(resource.RLIMIT_RTPRIO, 0)


def limit_private_memory(limit_bytes: int | None) -> None:
    """What each process may have of memory that is its own and that it can write to, used or not."""
    if limit_bytes is not None:
        _lower(resource.RLIMIT_DATA, limit_bytes)


def limit_processes(count: int) -> None:
    """Processes and threads of this user. Of no effect on root; counts per user namespace since Linux 5.14."""
    _lower(resource.RLIMIT_NPROC, count)


def offer_to_be_killed_first() -> None:
    """When memory runs out, this process goes before any other of the host."""
    Path("/proc/self/oom_score_adj").write_text(str(KILLED_FIRST))


def _lower(which: int, value: int) -> None:
    """Set soft and hard limit; a hard limit that is lower already stays."""
    _, hard = resource.getrlimit(which)
    allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (allowed, allowed))
