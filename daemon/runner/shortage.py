"""Errors that mean: there was not enough memory; and the figures in their messages.

Python has an exception of its own for it, and so has torch's allocator on a device. All others say it in words:
torch on the CPU, numpy, and on a device what needs memory past that allocator (modules, libraries, Triton).
"""

from __future__ import annotations

import re
import resource
from typing import Final

import torch

from kbd.outbox.report import MemoryReport

_ON_HOST: Final = re.compile(r"DefaultCPUAllocator: (?:can't allocate|not enough) memory|std::bad_alloc")
_ON_DEVICE: Final = re.compile(
    r"CUDA error: out of memory|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation"
    r"|Triton Error \[CUDA\]: out of memory|CU\w+_STATUS_ALLOC_FAILED"
    r"|CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate"
)
_NEEDED: Final = re.compile(r"(?:[Tt]ried to allocate|Unable to allocate) ([\d.]+) (bytes|[KMGTPE]i?B|B)\b")
_FREE: Final = re.compile(r"([\d.]+) (bytes|[KMGTPE]i?B|B) is free")
_ALLOWED: Final = re.compile(r"([\d.]+) (bytes|[KMGTPE]i?B|B) allowed")
_LARGEST: Final = 1 << 62
_FULL: Final = 0.01


def is_shortage(error: BaseException) -> bool:
    """Whether this error means that there was not enough memory."""
    if isinstance(error, MemoryError) or _is_of_device(error):
        return True
    return isinstance(error, RuntimeError) and _ON_HOST.search(_text(error)) is not None


def _is_of_device(error: BaseException) -> bool:
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, Exception) and _ON_DEVICE.search(_text(error)) is not None


def is_full(device: torch.device) -> bool:
    """Whether next to nothing of a device's memory is free: then an error may be due to that, whatever it says."""
    free, total = torch.cuda.mem_get_info(device)
    return free < total * _FULL


def shortage_of(error: BaseException) -> MemoryReport:
    """What such an error says: how much was asked for, how much there was, how much may be used."""
    text = _text(error)
    on_device = _is_of_device(error)
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
