"""The user's Python module as a file in an artifact's folder, its syntax checked; nothing of it is run here."""

from __future__ import annotations

import traceback
from importlib.util import find_spec
from pathlib import Path

from kbd.backends.base import CompileFailed

MODULE_NAME = "kbd_kernel"


def why_not_installed(package: str, distribution: str | None = None) -> str | None:
    """None when the package can be imported, else what to install; it is not imported."""
    if find_spec(package) is not None:
        return None
    name = distribution or package
    return f"{name} is not installed; install it with: pip install {name}"


def source_in(folder: Path) -> Path:
    """Where the module of an artifact lies."""
    return folder / f"{MODULE_NAME}.py"


def write_module(source: str, folder: Path) -> Path:
    """Write the module. Raises CompileFailed with the line where Python cannot read it."""
    path = source_in(folder)
    path.write_text(source, encoding="utf-8")
    try:
        compile(source, path.name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        where = f"line {line}: " if line else ""
        report = "".join(traceback.format_exception_only(error))
        raise CompileFailed(f"{where}{getattr(error, 'msg', error)}", output=report) from None
    return path
