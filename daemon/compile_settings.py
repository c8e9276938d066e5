"""How kernels are compiled on this host, as the configuration says it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Number = Callable[[str, str], int]
"""Reads a positive whole number out of a named setting, or raises."""


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


def from_environment(state: Path, environment: Mapping[str, str], positive: Number) -> CompileSettings:
    """KBD_ARTIFACTS (folder), KBD_ARTIFACTS_BYTES, KBD_COMPILE_SLOTS, KBD_COMPILE_S, KBD_COMPILE_MEMORY_BYTES."""
    folder = environment.get("KBD_ARTIFACTS")
    cache = Path(folder).expanduser().absolute() if folder else state / "artifacts"
    names = {
        "cache_bytes": "KBD_ARTIFACTS_BYTES",
        "slots": "KBD_COMPILE_SLOTS",
        "limit_s": "KBD_COMPILE_S",
        "memory_bytes": "KBD_COMPILE_MEMORY_BYTES",
    }
    given = {
        field: positive(name, environment[name]) for field, name in names.items() if environment.get(name)
    }
    return CompileSettings(cache, **given)
