"""Whether kbd itself has raised an error, or a kernel that knows kbd's own exceptions."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Mapping
from typing import Any, Final

from kbd.backends.python_source import MODULE_NAME
from kbd.backends.registry import registrations

CALLED_BY_KERNELS: Final = ("kbd.backends.torch_cuda.", "kbd.backends.triton_interpreter")
"""What refuses kernels while their own code runs: it stands between them and a build, or a launch."""

UNKNOWN: Final = ""
KERNELS: Final = frozenset({MODULE_NAME, UNKNOWN})


def is_raised_by_kbd(error: BaseException) -> bool:
    """Whether the innermost frame is kbd's or a backend's, and no kernel has called it to that end.

    Errors that were never raised are made by kbd where it tells of another. A kernel can forge what is looked at
    here, as all in its process; the judge knows in addition who can be refused.
    """
    modules = [_module_of(frame.f_globals) for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not modules:
        return True
    if modules[-1].split(".")[0] not in _packages():
        return False
    return modules[-1].startswith(CALLED_BY_KERNELS) or KERNELS.isdisjoint(modules)


def _packages() -> set[str]:
    """Where backends are: kbd, and plug-ins."""
    return {re.split(r"[.:]", known.location)[0] for known in registrations().values()}


def _module_of(variables: Mapping[str, Any]) -> str:
    """The imported module that has these global variables; UNKNOWN where none has, as with code made from text."""
    name = variables.get("__name__")
    module = sys.modules.get(name) if type(name) is str else None
    return str(name) if getattr(module, "__dict__", None) is variables else UNKNOWN
