"""The programs that build kernels here, by what they say of themselves. Needs no torch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

ASK_LIMIT_S = 20.0


def find_nvcc(environment: Mapping[str, str] = os.environ) -> str | None:
    """The CUDA compiler: in CUDA_HOME or CUDA_PATH if one is set, on PATH, or where CUDA is usually installed."""
    for name in ("CUDA_HOME", "CUDA_PATH"):
        if home := environment.get(name):
            return shutil.which("nvcc", path=str(Path(home) / "bin"))
    return shutil.which("nvcc", path=environment.get("PATH")) or shutil.which(
        "nvcc", path="/usr/local/cuda/bin"
    )


def find_cxx(environment: Mapping[str, str] = os.environ) -> str | None:
    """The C++ compiler that extensions are built with: CXX, else c++."""
    return shutil.which(environment.get("CXX") or "c++", path=environment.get("PATH"))


def find_ninja(environment: Mapping[str, str] = os.environ) -> str | None:
    """The build tool of PyTorch's extensions."""
    return shutil.which("ninja", path=environment.get("PATH"))


def tool_versions(environment: Mapping[str, str] = os.environ) -> dict[str, str | None]:
    """What compilers say when asked for their version; None where there is none."""
    return {"nvcc": _version(find_nvcc(environment)), "cxx": _version(find_cxx(environment))}


def nvcc_release(versions: Mapping[str, str | None]) -> str | None:
    """`13.0` out of what nvcc says."""
    match = re.search(r"release ([\d.]+)", versions.get("nvcc") or "")
    return match[1] if match else None


def _version(path: str | None) -> str | None:
    """Asked again when the file has changed, so that an upgrade is noticed by a daemon that runs."""
    if path is None:
        return None
    try:
        status = os.stat(path)
    except OSError:
        return None
    return _said_version(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=32)
def _said_version(path: str, modified_ns: int, size: int) -> str | None:
    del modified_ns, size
    try:
        asked = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=ASK_LIMIT_S)
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{os.path.realpath(path)}\n{asked.stdout.strip()}" if asked.returncode == 0 else None
