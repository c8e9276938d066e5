"""Errors that mean: there was not enough memory; and the figures in their messages.

Only Python and CUDA have exceptions of their own for it; torch on the CPU and numpy say it in words.
"""

from __future__ import annotations

import re
import resource
from typing import Final

import torch

from kbd.outbox.report import MemoryReport

_ON_HOST: Final = re.compile(r"DefaultCPUAllocator: (?:can't allocate|not enough) memory|std::bad_alloc")
_NEEDED: Final = re.compile(r"(?:[Tt]ried to allocate|Unable to allocate) ([\d.]+) (bytes|[KMGTPE]i?B|B)\b")
_FREE: Final = re.compile(r"([\d.]+) (bytes|[KMGTPE]i?B|B) is free")
_ALLOWED: Final = re.compile(r"([\d.]+) (bytes|[KMGTPE]i?B|B) allowed")
_LARGEST: Final = 1 << 62


def is_shortage(error: BaseException) -> bool:
    """Whether this error means that there was not enough memory."""
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and _ON_HOST.search(_text(error)) is not None


def shortage_of(error: BaseException) -> MemoryReport:
    """What such an error says: how much was asked for, how much there was, how much may be used."""
    text = _text(error)
    on_device = isinstance(error, torch.cuda.OutOfMemoryError)
    return MemoryReport(
        where="device" if on_device else "host",
        needed_bytes=_figure(_NEEDED, text),
        free_bytes=_figure(_FREE, text),
        limit_bytes=_figure(_ALLOWED, text) if on_device else _host_limit(),
    )


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an exception's own __str__ is user code
        return ""


def _figure(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.search(text)
    if found is None:
        return None
    number, unit = found.groups()
    try:
        value = float(number)
    except ValueError:
        return None
    power = 0 if unit[0] in "bB" else "KMGTPE".index(unit[0]) + 1
    return int(min(value * 1024**power, _LARGEST))


def _host_limit() -> int | None:
    limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
    return None if limit == resource.RLIM_INFINITY else limit
