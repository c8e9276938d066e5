"""How kernels are compiled on this host, as the configuration says it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path


def _cores() -> int:
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class CompileSettings:
    """At most `slots` kernels are built at once, each for at most `limit_s` seconds.

    `memory_bytes`: private memory of one process of a build; None is no limit beside the sandbox's. `cache` and
    `cache_bytes`: where artifacts are kept, and how much of them.
    """

    cache: Path
    cache_bytes: int = 4 << 30
    slots: int = field(default_factory=_cores)
    limit_s: float = 300.0
    memory_bytes: int | None = None
