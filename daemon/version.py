"""The version of kbd that runs."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

NOT_INSTALLED = "0+source"


@cache
def kbd_version() -> str:
    """As installed; a checkout that runs uninstalled says so."""
    try:
        return version("kbd")
    except PackageNotFoundError:
        return NOT_INSTALLED
