"""The library of an extension, loaded as the call that it answers asks for it."""

from __future__ import annotations

import shutil
import subprocess
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

DEMANGLE_LIMIT_S = 10.0


def load_library(library: Path, *, is_python_module: bool) -> Any:
    """The module; for a library that only registers operators its path. Raises ImportError or OSError."""
    if not is_python_module:
        import torch

        torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
        return str(library)
    spec = spec_from_file_location(library.stem, library)
    if spec is None or spec.loader is None:
        raise ImportError(f"{library.name} cannot be imported")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def demangled(text: str) -> str:
    """A linker's or loader's message with C++ names as their author wrote them, where c++filt is installed."""
    tool = shutil.which("c++filt")
    if tool is None:
        return text
    try:
        told = subprocess.run([tool], input=text, capture_output=True, text=True, timeout=DEMANGLE_LIMIT_S)
    except (OSError, subprocess.SubprocessError):
        return text
    return told.stdout.strip() if told.returncode == 0 else text
