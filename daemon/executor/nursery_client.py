"""The daemon's side of the nursery: start it, ask it for children, replace it when it is gone.

    daemon main thread ──Popen──► python -m kbd.daemon.executor.nursery   (fd 3: channel)

The main thread starts it because a parent-death signal follows the creating thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

import structlog

from kbd.daemon.executor.async_channel import AsyncChannel, channel_pair
from kbd.daemon.executor.channel import ChannelError
from kbd.daemon.executor.nursery_environment import nursery_environment
from kbd.daemon.executor.process import ChildProcess, OutputTail
from kbd.daemon.executor.protocol import DeviceTarget, Fork, Forked, ForkFailed, FromNursery, Ready
from kbd.daemon.executor.sandbox.cgroup import Cgroup
from kbd.daemon.executor.sandbox.exit_report import read_report
from kbd.daemon.executor.sandbox.plan import Sandbox
from kbd.daemon.executor.sandbox.refusal import LayerRefused

log = structlog.get_logger(__name__)

SOCKET_FD = 3
START_ATTEMPTS = 3

Child: TypeAlias = Literal["runner", "judge", "compiler", "examinee"]
TRUSTED = frozenset({"judge", "examinee"})
"""Children that run nothing of a user's."""


class NurseryFailed(Exception):
    """No child can be made: the nursery does not start or the system refuses to fork.

    `refused`: the layer of the sandbox that was to blame, if it was one.
    """

    def __init__(self, message: str, refused: LayerRefused | None = None) -> None:
        super().__init__(message)
        self.refused = refused


class NurseryClient:
    """Forks runners and judges on request, one request at a time."""

    def __init__(self, log_path: Path) -> None:
        self.environment: dict[str, str | None] = {}
        self.sandbox_for: Callable[[DeviceTarget], Sandbox] | None = None
        """Where children that run users' code get their sandboxes; without it they are the daemon's own user."""
        self._log_path = log_path
        self._turn = asyncio.Lock()
        self._tokens = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: AsyncChannel[Ready | Forked | ForkFailed] | None = None

    @property
    def pid(self) -> int | None:
        """The nursery's process, while there is one."""
        return self._process.pid if self._process is not None else None

    @property
    def forking(self) -> bool:
        """Whether a child may exist that the daemon does not know yet."""
        return self._turn.locked()

    async def start(self) -> None:
        """Start it and wait until it has imported everything. Raises NurseryFailed."""
        async with self._turn:
            await self._ensure_started()

    async def fork(
        self, child: Child, folder: Path, device: DeviceTarget, sandbox: Sandbox | None = None
    ) -> tuple[ChildProcess, socket.socket]:
        """A new child, and our end of its channel; a runner in the next sandbox. Raises NurseryFailed.

        A request that was sent is answered, so a caller that is cancelled leaves a child to be ended.
        """
        forking = asyncio.ensure_future(self._fork(child, folder, device, sandbox))
        try:
            return await asyncio.shield(forking)
        except asyncio.CancelledError:
            forking.add_done_callback(_abandon)
            raise

    async def _fork(
        self, child: Child, folder: Path, device: DeviceTarget, sandbox: Sandbox | None
    ) -> tuple[ChildProcess, socket.socket]:
        if child not in TRUSTED and sandbox is None and self.sandbox_for is not None:
            sandbox = self.sandbox_for(device)
        async with self._turn:
            for _ in range(START_ATTEMPTS):
                await self._ensure_started()
                try:
                    return await self._fork_once(child, folder, device, sandbox)
                except ChannelError as error:
                    log.warning("nursery lost", action="nursery_lost", reason=str(error))
                    self._discard()
        raise NurseryFailed(f"the nursery died {START_ATTEMPTS} times in a row; see {self._log_path}")

    async def stop(self) -> None:
        """End it; children that it forked are not touched."""
        self._discard()

    async def _fork_once(
        self, child: Child, folder: Path, device: DeviceTarget, sandbox: Sandbox | None
    ) -> tuple[ChildProcess, socket.socket]:
        """One try, on a channel of its own.

        A nursery may die after it forked and before it said so; two children on one channel would answer each
        other's questions.
        """
        assert self._channel is not None
        with contextlib.ExitStack() as given, contextlib.ExitStack() as kept:
            cgroup = _cgroup(sandbox)
            kept.callback(cgroup.remove)
            ours, theirs = channel_pair()
            kept.callback(ours.close)
            given.callback(theirs.close)
            output, output_end = _pipe(kept, given)
            report, report_end = _pipe(kept, given)
            request = Fork(
                token=next(self._tokens), child=child, folder=str(folder), device=device, sandbox=sandbox
            )
            await self._channel.send(request, [theirs.fileno(), output_end, report_end])
            answer = await self._channel.receive()
            if not isinstance(answer, Forked):
                raise NurseryFailed(
                    getattr(answer, "message", "the nursery answered out of turn"),
                    read_report(report).refused,
                )
            kept.pop_all()
        return ChildProcess(answer.pid, OutputTail(output), folder, report, cgroup), ours

    async def _ensure_started(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._discard()
        with contextlib.ExitStack() as kept:
            ours, theirs = channel_pair()
            kept.callback(ours.close)
            with theirs, self._log_path.open("ab") as output:
                self._process = await _start(theirs.fileno(), output.fileno())
            kept.pop_all()
        self._channel = AsyncChannel(ours, FromNursery)
        try:
            ready = await self._channel.receive()
        except ChannelError:
            self._discard()
            tail = self._log_path.read_text(errors="replace")[-2000:]
            raise NurseryFailed(f"the nursery did not start; it said:\n{tail}") from None
        assert isinstance(ready, Ready)
        self.environment = ready.environment
        log.info("nursery ready", action="nursery_ready", pid=self._process.pid)

    def _discard(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    reading, writing = os.pipe()
    reader.callback(os.close, reading)
    writer.callback(os.close, writing)
    return reading, writing


def _cgroup(sandbox: Sandbox | None) -> Cgroup:
    try:
        return Cgroup.make(sandbox)
    except LayerRefused as refused:
        raise NurseryFailed(str(refused), refused) from None


def _abandon(forking: asyncio.Future[tuple[ChildProcess, socket.socket]]) -> None:
    """End a child that nobody waits for any more."""
    if forking.cancelled() or forking.exception() is not None:
        return
    process, channel = forking.result()
    channel.close()
    process.send_kill()


async def _start(channel_fd: int, output_fd: int) -> subprocess.Popen[bytes]:
    ours = [str(channel_fd), str(os.getpid())]
    command = [sys.executable, "-P", "-m", "kbd.daemon.executor.nursery", *ours]
    # Not asyncio's subprocess: its child watcher may fork from another thread, whose end would kill the nursery.
    return subprocess.Popen(  # noqa: ASYNC220 - a few milliseconds, and it must be this thread
        command,
        stdin=subprocess.DEVNULL,
        stdout=output_fd,
        stderr=output_fd,
        pass_fds=[channel_fd],
        env=nursery_environment(os.environ),
        start_new_session=True,
    )
