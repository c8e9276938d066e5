"""Spare runners: forked and warm before a job needs them, each used once.

::

    refill ──fork, warm──► spares ──take──► job          no start-up on the critical path
       ▲                                     │
       └── only while nothing is timed ◄─────┘ quiet() before a lease is granted

Making a CUDA context disturbs whatever runs on the device (measured beside a timing loop: worst 1.7 ms), so
spares are made while a job loads and is compared, and never while one is timed.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from kbd.daemon.executor.nursery_client import NurseryClient, NurseryFailed
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.executor.runner_process import RunnerProcess

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Stock:
    """How many spares are kept: filled up to `full` when fewer than `low` are left, or nothing runs.

    A fork is cheap, so on the CPU every job replaces its two at once. Contexts are made many at a time (measured
    on an H100: 0.52 s for one, 1.2 s for eight), so that a busy device stands still for them rarely.
    """

    low: int
    full: int


def sparing(device: DeviceTarget) -> DeviceTarget:
    """The device with one queue to it: such contexts are made and ended in little more than half the time.

    Measured on an H200, four at once: made in 0.45 s instead of 0.73 s, ended in 0.13 s instead of 0.27 s. Work
    in several streams runs one after the other there, so a kernel that uses streams gets the driver's default.
    """
    return device.model_copy(update={"connections": 1}) if device.kind == "cuda" else device


def stock_for(device: DeviceTarget, workers: int = 1) -> Stock:
    """What suits a device with so many workers, each of which takes two runners for a job."""
    return Stock(low=2, full=max(8, 2 * workers)) if device.kind == "cuda" else Stock(low=2, full=2)


class Spares:
    """The spare runners of one device."""

    def __init__(
        self, nursery: NurseryClient, device: DeviceTarget, folder: Callable[[int], Path], stock: Stock
    ) -> None:
        self._nursery = nursery
        self._device = device
        self._sparing = sparing(device)
        self._folder = folder
        self._stock = stock
        self._numbers = itertools.count(1)
        self._ready: deque[RunnerProcess] = deque()
        self._refilling: asyncio.Task[None] | None = None
        self._hushed = 0
        self._making = 0
        self._added = asyncio.Event()

    @property
    def pids(self) -> set[int]:
        """Processes of the spares that are ready."""
        return {runner.process.pid for runner in self._ready}

    @property
    def busy(self) -> bool:
        """Whether a runner is being made at this moment, as a spare or for a job that found none."""
        return self._making > 0 or self._refills

    @property
    def _refills(self) -> bool:
        return self._refilling is not None and not self._refilling.done()

    async def take(self, *, concurrent: bool = False) -> RunnerProcess:
        """A warm runner: a spare, the next that gets ready, or a new one. Raises NurseryFailed.

        `concurrent`: for kernels that may use several streams of a CUDA device at once, which no spare can.
        """
        if concurrent and self._device.kind == "cuda":
            return await self._make(self._device)
        while self._ready or self._refills:
            if not self._ready:
                await self._next_ready()
                continue
            runner = self._ready.popleft()
            if runner.process.alive:
                return runner
            await runner.end()
        return await self._make(self._sparing)

    async def _next_ready(self) -> None:
        """Wait until a spare is added, or none is in the making any more."""
        assert self._refilling is not None
        self._added.clear()
        added = asyncio.ensure_future(self._added.wait())
        try:
            await asyncio.wait((added, self._refilling), return_when=asyncio.FIRST_COMPLETED)
        finally:
            added.cancel()

    def refill(self) -> None:
        """Start making what is missing if a job may soon find too few, unless it has to be quiet now."""
        if len(self._ready) < self._stock.low:
            self.top_up()

    def top_up(self) -> None:
        """Start making all that is missing, unless it has to be quiet now."""
        if self._hushed == 0 and not self._refills and len(self._ready) < self._stock.full:
            self._refilling = asyncio.create_task(self._refill())

    @contextlib.asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        """Within this, no spare is made; waits for the one in the making."""
        self._hushed += 1
        try:
            if self._refilling is not None:
                await asyncio.gather(self._refilling, return_exceptions=True)
            yield
        finally:
            self._hushed -= 1
            self.refill()

    async def close(self) -> None:
        """End every spare."""
        self._hushed += 1
        if self._refilling is not None:
            self._refilling.cancel()
            await asyncio.gather(self._refilling, return_exceptions=True)
        while self._ready:
            await self._ready.popleft().end()

    async def _refill(self) -> None:
        """All that are missing at once: a context takes a third of a second, and most of that is waiting."""
        missing = self._stock.full - len(self._ready)
        await asyncio.gather(*(self._add_one() for _ in range(missing)))

    async def _add_one(self) -> None:
        try:
            self._ready.append(await self._make(self._sparing))
            self._added.set()
        except (NurseryFailed, OSError) as error:
            # The next job makes its own and meets the error where it can be told.
            log.warning("no spare runner", action="spare_failed", reason=str(error))

    async def _make(self, device: DeviceTarget) -> RunnerProcess:
        self._making += 1
        try:
            return await RunnerProcess.start(self._nursery, self._folder(next(self._numbers)), device)
        finally:
            self._making -= 1
