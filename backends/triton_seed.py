"""What Triton works out anew in every process, worked out once for all that a nursery will fork.

- Its module of driver calls: a C compiler builds it for every new cache (0.4 s), and here every process has a cache
  of its own, since what one kernel's process has written must never be loaded by another's. A child without any
  user's code builds it, and those forked later put a copy into their caches. The keys are Triton's own.
- The hash of all that Triton consists of (0.7 s), which it keeps in memory and every fork has.

Both are of use on hosts with CUDA's driver alone.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from pathlib import Path

_files: dict[str, bytes] = {}


class Sowing:
    """Begun before other things are imported, and awaited before the first fork."""

    def __init__(self) -> None:
        self._cache: tempfile.TemporaryDirectory[str] | None = None
        self._child = 0
        self._hashing = threading.Thread(target=_hash_triton, daemon=True)

    def begin(self) -> None:
        """Nothing, where Triton or the driver is missing."""
        try:
            from triton.backends.nvidia.driver import libcuda_dirs

            libcuda_dirs()
        except Exception:  # noqa: BLE001 - whatever stops Triton here is told where a kernel needs it
            return
        self._cache = tempfile.TemporaryDirectory(prefix="kbd-triton-")
        self._child = os.fork()
        if self._child == 0:  # the driver's library must not be loaded into a process that forks others
            _build_and_exit(self._cache.name)
        self._hashing.start()

    def finish(self) -> None:
        """Remember what was built."""
        if self._cache is None:
            return
        self._hashing.join()
        os.waitpid(self._child, 0)
        cache = Path(self._cache.name)
        _files.update({str(path.relative_to(cache)): path.read_bytes() for path in cache.rglob("*.so")})
        self._cache.cleanup()


def _build_and_exit(cache: str) -> None:
    status = 1
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.environ["TRITON_CACHE_DIR"] = cache
        from triton.backends.nvidia.driver import CudaUtils

        CudaUtils()
        status = 0
    finally:
        os._exit(status)


def _hash_triton() -> None:
    with contextlib.suppress(Exception):  # whoever needs it works it out
        try:
            from triton.runtime.cache import triton_key
        except ImportError:  # before 3.5
            from triton.compiler.compiler import triton_key
        triton_key()


def plant(cache: Path) -> None:
    """Copy the module into a cache, so that Triton finds it there."""
    for name, content in _files.items():
        target = cache / name
        with contextlib.suppress(FileExistsError):
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as copy:
                copy.write(content)
