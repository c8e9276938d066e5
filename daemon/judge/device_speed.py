"""What the device can do at most, measured by the judge itself: the floor under every figure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import torch

FALLBACK_CACHE_BYTES: Final = 32 << 20
COPY_BYTES: Final = 256 << 20
FREE_SHARE: Final = 1 / 16
EMPTY_LAUNCHES: Final = 256
REPEATS: Final = 5


@dataclass(frozen=True)
class DeviceSpeed:
    """Bytes moved in a microsecond (read and written ones), and the least time between two launches in a graph."""

    bytes_per_us: float
    launch_us: float


def cache_bytes(device: torch.device) -> int:
    """Size of the last cache before memory."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).L2_cache_size)
    return host_cache_bytes()


def forget_persisting_lines() -> None:
    """Of the CUDA device's cache: what a kernel has told it to keep is evicted like anything else from here on."""
    from cuda.bindings import driver

    driver.cuCtxResetPersistingL2Cache()  # older devices know no such lines, and refuse


@cache
def host_cache_bytes() -> int:
    """Size of the last-level cache as Linux tells it."""
    sizes = [
        int(text[:-1]) << 10
        for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
        if (text := path.read_text().strip()).endswith("K")
    ]
    return max(sizes, default=FALLBACK_CACHE_BYTES)


@cache
def device_speed() -> DeviceSpeed:
    """Of this process's CUDA device, measured once: a large copy, and launches that do next to nothing."""
    free, _ = torch.cuda.mem_get_info()
    nbytes = int(min(COPY_BYTES, free * FREE_SHARE))
    source, target = (torch.zeros(nbytes, dtype=torch.uint8, device="cuda") for _ in range(2))
    copy_us = min(_elapsed_us(lambda: target.copy_(source)) for _ in range(REPEATS))
    graph, speck = torch.cuda.CUDAGraph(), torch.zeros(1, device="cuda")
    with torch.cuda.graph(graph):
        for _ in range(EMPTY_LAUNCHES):
            speck.zero_()
    launches_us = min(_elapsed_us(graph.replay) for _ in range(REPEATS))
    return DeviceSpeed(2 * nbytes / copy_us, launches_us / EMPTY_LAUNCHES)


def _elapsed_us(act: object) -> float:
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    first.record()
    act()  # type: ignore[operator]
    last.record()
    last.synchronize()
    return float(first.elapsed_time(last)) * 1e3
