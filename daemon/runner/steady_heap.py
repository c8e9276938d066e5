"""A heap that gives nothing back, so that memory is as dear in one process as in another.

glibc maps large pieces of memory anew for every call, or keeps them, by what was freed before: of two processes
that do the same one may fault in every page of every output and the other none, and be five times as slow.
"""

from __future__ import annotations

import ctypes
from typing import Final

M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
LARGEST_KEPT_BYTES: Final = 32 << 20
"""Larger pieces are always mapped anew: glibc allows no higher threshold."""
NEVER: Final = (1 << 31) - 1


def keep_freed_memory() -> bool:
    """From here on; False where the C library is not glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES) and mallopt(M_TRIM_THRESHOLD, NEVER))
