"""Compile slots: how many kernels are built at once on this host, apart from its devices.

::

    kernel ──► key ──► in the cache? ──yes──────────────────────► sealed archive ──► runner
                           └─no──► slot ──► compiler ──► archive ──► cache ─┘

Whoever asks for a key that is being built waits for that build instead of making another one.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar
from weakref import WeakValueDictionary

import structlog

from kbd.backends.artifact_archive import LARGEST_ARCHIVE_BYTES
from kbd.backends.artifact_key import artifact_key
from kbd.backends.artifacts import ArtifactCache, SealedArchive, seal
from kbd.backends.base import CompileRequest
from kbd.backends.build_tools import nvcc_release, tool_versions
from kbd.daemon.compile_settings import CompileSettings
from kbd.daemon.executor.channel import ChannelError
from kbd.daemon.executor.compiler_process import CompilerProcess, archive_memory
from kbd.daemon.executor.compiler_protocol import Compile, Compiled
from kbd.daemon.executor.nursery_client import NurseryClient
from kbd.daemon.executor.process import Log
from kbd.daemon.executor.runner_process import RunnerEnd
from kbd.daemon.executor.runner_protocol import Failed

log = structlog.get_logger(__name__)

A = TypeVar("A", SealedArchive, SealedArchive | None)
BeginLog: TypeAlias = Callable[[], Log]


@dataclass(frozen=True)
class Compilation:
    """What became of one kernel: an archive, or the compiler's refusal, or a compiler that gave no answer.

    `end` is how its process ended, None where none was needed; `overdue` that it was killed for taking too long;
    `seconds` is what it took without waiting for a slot.
    """

    seconds: float
    archive: SealedArchive | None = None
    failed: Failed | None = None
    end: RunnerEnd | None = None
    overdue: bool = False


class CompileSlots:
    """Compiles kernels on this host. `forked` counts compilers: a kernel that is in the cache needs none."""

    def __init__(self, nursery: NurseryClient, folder: Path, settings: CompileSettings) -> None:
        self.forked = 0
        self.nvcc: str | None = None
        """The CUDA compiler's release, once a kernel was asked for."""
        self.settings = settings
        self.cache = ArtifactCache(settings.cache, settings.cache_bytes)
        self.swept: Callable[[], None] = lambda: None
        """Called when a compiler has ended, to find what it may have left."""
        self._nursery = nursery
        self._folder = folder
        self._slots = asyncio.Semaphore(settings.slots)
        self._numbers = itertools.count(1)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._running: set[CompilerProcess] = set()
        self._starting = 0

    @property
    def pids(self) -> set[int]:
        """Compilers that are at work."""
        return {compiler.pid for compiler in self._running}

    @property
    def starting(self) -> bool:
        """Whether a compiler may exist whose process is not known yet."""
        return self._starting > 0

    async def compile(
        self, request: CompileRequest, seconds: float, begin_log: BeginLog | None = None
    ) -> Compilation:
        """Build one kernel, or find that it was built before. Raises NurseryFailed or OSError.

        `begin_log` gives the log of a compiler's output; it is called only if there is a compiler.
        """
        started = time.monotonic()
        key = await asyncio.to_thread(self._key, request, dict(self._nursery.environment))
        turn = self._turns.setdefault(key, asyncio.Lock())
        async with turn:
            archive = await _archive(self._fetch, key)
            if archive is not None:
                return Compilation(time.monotonic() - started, archive)
            async with self._slots:
                return await self._build(request, key, min(seconds, self.settings.limit_s), begin_log)

    def _key(self, request: CompileRequest, libraries: Mapping[str, str | None]) -> str:
        tools = tool_versions()
        self.nvcc = nvcc_release(tools)
        return artifact_key(request, {**libraries, **tools})

    def _fetch(self, key: str) -> SealedArchive | None:
        """A cache that cannot be used costs time and nothing else."""
        try:
            return self.cache.fetch(key)
        except OSError as error:
            log.warning("artifact cache unusable", action="cache_failed", reason=str(error))
            return None

    async def _build(
        self, request: CompileRequest, key: str, limit_s: float, begin_log: BeginLog | None
    ) -> Compilation:
        started = time.monotonic()
        with archive_memory() as memory:
            answer, end, overdue = await self._ask(request, memory, limit_s, begin_log)
            taken_s = time.monotonic() - started
            if not isinstance(answer, Compiled):
                return Compilation(taken_s, failed=answer, end=end, overdue=overdue)
            archive = await _archive(self._sealed, key, memory, answer)
        return Compilation(time.monotonic() - started, archive, end=end)

    async def _ask(
        self, request: CompileRequest, memory: int, limit_s: float, begin_log: BeginLog | None
    ) -> tuple[Compiled | Failed | None, RunnerEnd, bool]:
        """The answer of a new compiler, how it ended, and whether it took too long. It is gone afterwards."""
        compiler = await self._start()
        if begin_log is not None:
            compiler.record(begin_log())
        answer, overdue, dying, end = None, False, False, None
        try:
            async with asyncio.timeout(limit_s):
                answer = await compiler.ask(self._question(request), memory)
        except ChannelError:
            dying = True  # its end says how
        except TimeoutError:
            overdue = True
        finally:
            end = await compiler.end(dying=dying)
            self._running.discard(compiler)
            self.swept()
        return answer, end, overdue

    async def _start(self) -> CompilerProcess:
        self._starting += 1
        try:
            compiler = await CompilerProcess.start(
                self._nursery, self._folder / f"compiler-{next(self._numbers)}"
            )
            self._running.add(compiler)
        finally:
            self._starting -= 1
        self.forked += 1
        log.info("compiler forked", action="compiler_forked", pid=compiler.pid)
        return compiler

    def _question(self, request: CompileRequest) -> Compile:
        """A build that is alone gets every core."""
        cores = len(os.sched_getaffinity(0))
        return Compile(
            kernel=request.kernel,
            target=request.target.kind,
            arch=request.target.arch,
            contracts=request.contracts,
            archive_bytes=LARGEST_ARCHIVE_BYTES,
            jobs=max(1, cores // len(self._running)),
            memory_bytes=self.settings.memory_bytes,
        )

    def _sealed(self, key: str, memory: int, answer: Compiled) -> SealedArchive:
        """What a compiler wrote, out of its reach, and in the cache if that takes it."""
        archive = seal(memory, answer.nbytes, answer.unfinished)
        try:
            self.cache.publish(key, archive)
        except OSError as error:
            log.warning("not kept in the artifact cache", action="cache_failed", reason=str(error))
        return archive


async def _archive(make: Callable[..., A], *arguments: object) -> A:
    """Call `make` in a thread; an archive that nobody waits for any more is closed."""
    making = asyncio.ensure_future(asyncio.to_thread(make, *arguments))
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        await asyncio.wait([making])
        if not making.exception() and (archive := making.result()) is not None:
            archive.close()
        raise
