"""A compiler as the daemon holds it: a child without a device, which answers one question and is gone.

daemon ──fork──► nursery ──► COMPILER ──► ninja ──► nvcc, c++, …     killed together
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kbd.backends.artifact_archive import LARGEST_ARCHIVE_BYTES
from kbd.daemon.executor.async_channel import AsyncChannel
from kbd.daemon.executor.compiler_protocol import Compile, Compiled, FromCompiler
from kbd.daemon.executor.nursery_client import NurseryClient
from kbd.daemon.executor.process import Log
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.executor.runner_process import RunnerEnd, RunnerProcess
from kbd.daemon.executor.runner_protocol import Failed

NO_DEVICE = DeviceTarget(kind="cpu")
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


@dataclass(frozen=True, eq=False)
class CompilerProcess:
    """One compiler in a folder of its own."""

    child: RunnerProcess

    @classmethod
    async def start(cls, nursery: NurseryClient, folder: Path) -> CompilerProcess:
        """Fork one. Raises NurseryFailed."""
        folder.mkdir(mode=0o700)
        process, channel = await nursery.fork("compiler", folder, NO_DEVICE)
        return cls(RunnerProcess(process, channel, folder))

    @property
    def pid(self) -> int:
        """Of the compiler itself, or of PID 1 of its namespaces."""
        return self.child.process.pid

    def record(self, log: Log) -> None:
        """Write down what it and its children print, as it comes."""
        self.child.record(log)

    async def ask(self, request: Compile, archive: int) -> Compiled | Failed:
        """Its answer, whenever it comes. Raises ChannelError."""
        channel = AsyncChannel(self.child.channel, FromCompiler)
        await channel.send(request, [archive])
        answer = await channel.receive()
        if isinstance(answer, Compiled) and answer.nbytes > request.archive_bytes:
            return Failed(status="runtime_error", type="Forged", message="the archive cannot be that large")
        return answer

    async def end(self, *, dying: bool = False) -> RunnerEnd:
        """Kill it and all that it started, and remove its folder; see RunnerProcess.end."""
        return await self.child.end(dying=dying)


@contextmanager
def archive_memory(nbytes: int = LARGEST_ARCHIVE_BYTES) -> Iterator[int]:
    """Memory that a compiler may fill but neither shrink nor grow; only what is written takes room."""
    descriptor = os.memfd_create("kbd-archive", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, nbytes)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
        yield descriptor
    finally:
        os.close(descriptor)
